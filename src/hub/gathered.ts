/** Milliseconds. */
const LONGEST = 2000;

/**
 * Runs an action for all that ask for it: at once for the first, then not more often than once in some time, and for no
 * more than a tenth of the time: what takes long is done less often, where the time is most wanted.
 */
export class Gathered implements Disposable {
  #timer: NodeJS.Timeout | undefined;
  #running = false;
  #again = false;
  #disposed = false;
  #next = Number.NEGATIVE_INFINITY;

  /** @param pause Milliseconds from the end of one to the next, at least; {@link LONGEST} at most. @param failed Told when the action throws. */
  constructor(
    private readonly pause: number,
    private readonly action: () => Promise<void>,
    private readonly failed: (error: unknown) => void,
  ) {}

  ask(): void {
    if (this.#disposed) return;
    if (this.#running) this.#again = true;
    else this.#timer ??= setTimeout(() => this.#run(), Math.max(0, this.#next - performance.now()));
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    this.#timer = undefined;
    this.#running = true;
    const begin = performance.now();
    try {
      await this.action();
    } catch (error) {
      this.failed(error);
    }
    this.#running = false;
    const end = performance.now();
    this.#next = end + Math.min(LONGEST, Math.max(this.pause, 9 * (end - begin)));
    if (!this.#again) return;
    this.#again = false; // what came after the action began it may not have seen
    this.ask();
  }
}
