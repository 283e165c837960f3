import { ViciError } from "./errors.ts";

/** Bounds of a call, for as long as the caller waits for it. */
export interface CallOptions {
  /** Milliseconds until the call fails with `TIMEOUT`, counted from the call, so with its time in the queue. Default 5000. */
  readonly timeout?: number | undefined;
  /** Makes the call fail with `ABORTED`. What was sent already, charon goes on doing. */
  readonly signal?: AbortSignal | undefined;
}

/** Milliseconds. charon answers in one or two; a second is much even when every core is busy. */
export const DEFAULT_TIMEOUT = 5000;

/** The longest that setTimeout can do, 24.8 days: beyond it, it fires at once. */
const MAX_TIMEOUT = 0x7fffffff;

/** A promise with a deadline and an AbortSignal. Whatever settles it first counts; the rest is ignored. */
export class Call<T> {
  readonly what: string;
  readonly promise: Promise<T>;
  readonly #resolve: (value: T) => void;
  readonly #reject: (error: unknown) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #abort = () => this.reject(aborted(this.what, this.#signal));
  #settled = false;

  /**
   * @param what Names the call in its errors. @param late What a call waited for when its deadline came.
   * @throws ViciError `INVALID` when the timeout is no positive number, `ABORTED` when the signal is so already.
   */
  constructor(what: string, options: CallOptions, late: (call: Call<T>) => string) {
    const timeout = options.timeout ?? DEFAULT_TIMEOUT;
    if (!(timeout > 0)) throw new ViciError("INVALID", `${what}: timeout is ${timeout}: give milliseconds over 0`);
    if (options.signal?.aborted) throw aborted(what, options.signal);
    this.what = what;
    this.#signal = options.signal;
    let settle: { resolve: (value: T) => void; reject: (error: unknown) => void } | undefined;
    this.promise = new Promise((resolve, reject) => {
      settle = { resolve, reject };
    });
    this.#resolve = (value) => settle?.resolve(value);
    this.#reject = (error) => settle?.reject(error);
    this.#signal?.addEventListener("abort", this.#abort);
    const expired = () => this.reject(new ViciError("TIMEOUT", `${what}: ${late(this)} within ${timeout} ms`));
    this.#timer = setTimeout(expired, Math.min(timeout, MAX_TIMEOUT));
  }

  get settled(): boolean {
    return this.#settled;
  }

  resolve(value: T): void {
    this.#settle();
    this.#resolve(value);
  }

  reject(error: unknown): void {
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#abort);
  }
}

/** The failure of a call whose signal was aborted. */
export function aborted(what: string, signal: AbortSignal | undefined): ViciError {
  return new ViciError("ABORTED", `${what}: aborted`, { cause: signal?.reason });
}
