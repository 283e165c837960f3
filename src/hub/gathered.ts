/** Runs an action once for all that ask for it within some time, and never twice at once. */
export class Gathered implements Disposable {
  #timer: NodeJS.Timeout | undefined;
  #running = false;
  #again = false;
  #disposed = false;

  /** @param delay Milliseconds from the first asking to the action. @param failed Told when the action throws. */
  constructor(
    private readonly delay: number,
    private readonly action: () => Promise<void>,
    private readonly failed: (error: unknown) => void,
  ) {}

  ask(): void {
    if (this.#disposed) return;
    if (this.#running) this.#again = true;
    else this.#timer ??= setTimeout(() => this.#run(), this.delay);
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
    if (!this.#again) return;
    this.#again = false; // what came after the action began it may not have seen
    this.ask();
  }
}
