/** Why the agent looks at everything once more. */
export type Reason =
  | "start"
  | "registry"
  | "died"
  | "underlay"
  | "health"
  | "doubt"
  | "names"
  | "endpoints"
  | "rotation"
  | "retry"
  | "timer";

/** What has to be looked at, gathered until somebody has time: any number of the same reason is one. */
export class Reasons implements Disposable {
  readonly #waiting = new Set<Reason>();
  readonly #timers = new Map<Reason, { readonly timer: NodeJS.Timeout; readonly at: number }>();
  #wake = Promise.withResolvers<void>();

  add(reason: Reason): void {
    this.#waiting.add(reason);
    this.#wake.resolve();
  }

  /** Adds it so many milliseconds from now, unless that is due earlier already. */
  addLater(reason: Reason, milliseconds: number): void {
    const at = performance.now() + milliseconds;
    const before = this.#timers.get(reason);
    if (before !== undefined && before.at <= at) return;
    clearTimeout(before?.timer);
    const timer = setTimeout(() => {
      this.#timers.delete(reason);
      this.add(reason);
    }, milliseconds);
    this.#timers.set(reason, { timer, at });
  }

  /** All that there are, as soon as there is one; none when `signal` aborts. */
  async take(signal: AbortSignal): Promise<ReadonlySet<Reason>> {
    const aborted = Promise.withResolvers<void>();
    const onAbort = () => aborted.resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      await Promise.race([this.#wake.promise, aborted.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
    if (signal.aborted) return new Set();
    const taken = new Set(this.#waiting);
    this.#waiting.clear();
    this.#wake = Promise.withResolvers();
    return taken;
  }

  [Symbol.dispose](): void {
    for (const { timer } of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
