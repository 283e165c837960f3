import { aborted } from "./call.ts";
import { ViciError } from "./errors.ts";
import { EventQueue, MAX_QUEUED } from "./event-queue.ts";
import type { Message } from "./message.ts";

export interface ViciEvent {
  readonly name: string;
  readonly message: Message;
}

/**
 * Events of the kinds subscribed to, from the moment that charon confirmed them. One reader.
 * Leaving a loop over it does not end it: a later loop goes on where the first one stopped.
 * The loop fails as the connection does, with `ABORTED` by the signal, and with `OVERFLOW` when 32 MiB wait unread.
 */
export interface Subscription extends AsyncIterable<ViciEvent, undefined>, AsyncDisposable {
  /** Ends the loop over it, and tells charon. Never fails. */
  close(): Promise<void>;
}

/** The session's side of a {@link Subscription}. */
export class Subscriber implements Subscription {
  readonly #queue = new EventQueue<ViciEvent>();
  readonly #release: () => Promise<void>;
  readonly #signal: AbortSignal | undefined;
  readonly #abort = () => this.fail(aborted("subscription", this.#signal));
  #released: Promise<void> | undefined;

  /** @param release Takes it off the session and charon; called once. */
  constructor(release: () => Promise<void>, signal: AbortSignal | undefined) {
    this.#release = release;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#abort);
  }

  deliver(event: ViciEvent, size: number): void {
    if (this.#queue.push(event, size)) return;
    this.fail(
      new ViciError("OVERFLOW", `over ${MAX_QUEUED} bytes of events wait: they come faster than they are read`),
    );
  }

  /** The loop gets what waits, then `error`. */
  fail(error: ViciError): void {
    this.#queue.fail(error);
    void this.close();
  }

  close(): Promise<void> {
    this.#queue.end();
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#released ??= this.#release();
    return this.#released;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  [Symbol.asyncIterator](): AsyncIterator<ViciEvent, undefined> {
    return { next: () => this.#queue.next() };
  }
}
