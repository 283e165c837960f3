/** Runs an action for all that ask for it: at once for the first, then not more often than once in some time. */
export class Gathered implements Disposable {
  #timer: NodeJS.Timeout | undefined;
  #running = false;
  #again = false;
  #disposed = false;
  #ended = Number.NEGATIVE_INFINITY;

  /** @param pause Milliseconds from the end of one to the next. @param failed Told when the action throws. */
  constructor(
    private readonly pause: number,
    private readonly action: () => Promise<void>,
    private readonly failed: (error: unknown) => void,
  ) {}

  ask(): void {
    if (this.#disposed) return;
    if (this.#running) this.#again = true;
    else this.#timer ??= setTimeout(() => this.#run(), Math.max(0, this.#ended + this.pause - performance.now()));
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    this.#timer = undefined;
    this.#running = true;
    try {
      await this.action();
    } catch (error) {
      this.failed(error);
    }
    this.#running = false;
    this.#ended = performance.now();
    if (!this.#again) return;
    this.#again = false; // what came after the action began it may not have seen
    this.ask();
  }
}
