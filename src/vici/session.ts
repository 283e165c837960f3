import type { Duplex } from "node:stream";
import { Call, type CallOptions } from "./call.ts";
import { Link, type Question } from "./link.ts";
import { Message, type Section } from "./message.ts";
import { encodePacket } from "./packet.ts";
import { encodeSegment } from "./segments.ts";
import { Subscriber, type Subscription } from "./subscription.ts";

/** Takes the events of one kind. @param size Bytes that the event took on the wire. */
type Sink = (message: Message, size: number) => void;

interface Job {
  readonly what: string;
  readonly run: () => Promise<void>;
}

/**
 * Conversations over one connection, one after the other.
 * A conversation that was begun is held to its end even when its caller has given up: the late answer is then taken and
 * dropped, and not mistaken for the next one's.
 */
export class Session {
  readonly #link: Link;
  readonly #queue: Job[] = [];
  #running: Job | undefined;
  readonly #sinks = new Map<string, Set<Sink>>();
  /** How many want an event: charon would send it as often as it was registered. */
  readonly #registered = new Map<string, number>();
  readonly #subscribers = new Set<Subscriber>();

  constructor(stream: Duplex) {
    this.#link = new Link(stream, {
      event: (name, message, size) => {
        for (const sink of this.#sinks.get(name) ?? []) sink(message, size);
      },
      lost: (loss) => {
        for (const subscriber of [...this.#subscribers]) subscriber.fail(loss("subscription"));
      },
    });
  }

  /** A command and its answer, whatever that says. */
  async request(command: string, message: Section | Message, options: CallOptions): Promise<Message> {
    const question = commandQuestion(command, message);
    return await this.#enqueue<Message>(command, options, async (call) => {
      call.resolve((await this.#link.ask(question)) ?? EMPTY);
    });
  }

  /**
   * A command that streams: registers `event`, sends the command, hands events to `onEvent`, and unregisters.
   * Returns the answer as soon as it is there. What `onEvent` throws, the call fails with.
   */
  async converse(
    command: string,
    event: string,
    message: Section | Message,
    options: CallOptions,
    onEvent: Sink,
  ): Promise<Message> {
    const question = commandQuestion(command, message);
    return await this.#enqueue<Message>(command, options, async (call) => {
      const unlisten = this.#listen(event, (received, size) => {
        if (call.settled) return;
        try {
          onEvent(received, size);
        } catch (error) {
          call.reject(error);
        }
      });
      try {
        await this.#register(event);
        try {
          if (!call.settled) call.resolve((await this.#link.ask(question)) ?? EMPTY);
        } catch (error) {
          call.reject(error); // now: the unregistration below may fail too, and is not what the caller asked for
        }
        await this.#unregister(event);
      } finally {
        unlisten();
      }
    });
  }

  /** Returns when charon has confirmed all events; those that come before that are kept for the reader. */
  async subscribe(events: readonly string[], options: CallOptions): Promise<Subscription> {
    const names = [...new Set(events)];
    const what = `subscribe to ${names.join(", ")}`;
    return await this.#enqueue<Subscription>(what, options, async (call) => {
      const confirmed: string[] = [];
      const unregister = async () => {
        for (const name of confirmed) await this.#unregister(name);
      };
      const subscriber = new Subscriber(() => {
        this.#subscribers.delete(subscriber);
        for (const unlisten of listening) unlisten();
        return this.#tell("unsubscribe", unregister);
      }, options.signal);
      const listening = names.map((name) =>
        this.#listen(name, (message, size) => subscriber.deliver({ name, message }, size)),
      );
      this.#subscribers.add(subscriber);
      try {
        for (const name of names) {
          await this.#register(name);
          confirmed.push(name);
        }
      } catch (error) {
        call.reject(error);
      }
      if (call.settled) void subscriber.close();
      else call.resolve(subscriber);
    });
  }

  /** Every call that waits fails with `CLOSED`. */
  close(): void {
    this.#link.close();
  }

  /**
   * Waits for its turn, then runs `work`, which settles the call; what `work` throws, the call fails with.
   * When the connection is lost, the question that is on its way fails, and then each one that waits, in its turn.
   */
  async #enqueue<T>(what: string, options: CallOptions, work: (call: Call<T>) => Promise<void>): Promise<T> {
    const call: Call<T> = new Call(what, options, () => this.#whyLate(job));
    const run = async () => {
      if (call.settled) return;
      const loss = this.#link.loss(what);
      if (loss !== undefined) call.reject(loss);
      else await work(call).catch((error) => call.reject(this.#link.loss(what) ?? error));
    };
    const job: Job = { what, run };
    this.#queue.push(job);
    this.#next();
    try {
      return await call.promise;
    } finally {
      const position = this.#queue.indexOf(job);
      if (position >= 0) this.#queue.splice(position, 1); // given up before its turn: never sent
    }
  }

  /** A conversation that nobody waits for the result of. */
  async #tell(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await this.#enqueue<void>(what, {}, async (call) => {
        await work();
        call.resolve();
      });
    } catch {
      // The connection is gone, and the registrations with it; or charon is mute, which the next call will tell.
    }
  }

  #next(): void {
    if (this.#running !== undefined) return;
    const job = this.#queue.shift();
    if (job === undefined) return;
    this.#running = job;
    void job.run().then(() => {
      this.#running = undefined;
      this.#next();
    });
  }

  #whyLate(job: Job): string {
    if (this.#running === undefined || this.#running === job) return "no answer";
    return `not sent, because "${this.#running.what}" was not answered`;
  }

  #listen(event: string, sink: Sink): () => void {
    const sinks = this.#sinks.get(event) ?? new Set();
    this.#sinks.set(event, sinks.add(sink));
    return () => {
      sinks.delete(sink);
      if (sinks.size === 0 && this.#sinks.get(event) === sinks) this.#sinks.delete(event);
    };
  }

  async #register(event: string): Promise<void> {
    const count = this.#registered.get(event) ?? 0;
    if (count === 0) await this.#link.ask(eventQuestion("EVENT_REGISTER", event));
    this.#registered.set(event, count + 1);
  }

  async #unregister(event: string): Promise<void> {
    const count = (this.#registered.get(event) ?? 0) - 1;
    if (count > 0) {
      this.#registered.set(event, count);
      return;
    }
    this.#registered.delete(event);
    await this.#link.ask(eventQuestion("EVENT_UNREGISTER", event));
  }
}

const EMPTY = new Message([]);

/** Encodes at once, so that what cannot be sent fails before it waits. @throws ViciError `INVALID`. */
function commandQuestion(name: string, message: Section | Message): Question {
  const segment = encodeSegment(encodePacket({ type: "CMD_REQUEST", name, message }));
  return { kind: "command", name, segment };
}

function eventQuestion(type: "EVENT_REGISTER" | "EVENT_UNREGISTER", name: string): Question {
  return { kind: "event", name, segment: encodeSegment(encodePacket({ type, name })) };
}
