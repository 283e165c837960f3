/** What has changed and was not looked at yet; whoever waits for it is woken. */
export class Changes {
  #names = new Set<string>();
  #all = false;
  #wake: (() => void) | undefined;

  /** @param name Of what changed; without it, anything may have. */
  mark(name?: string): void {
    if (name === undefined) this.#all = true;
    else this.#names.add(name);
    this.#wake?.();
  }

  /** What was marked since the last time. */
  take(): { readonly all: boolean; readonly names: ReadonlySet<string> } {
    const taken = { all: this.#all, names: this.#names };
    this.#names = new Set();
    this.#all = false;
    return taken;
  }

  /**
   * Waits until something is marked, at once if something is, and then until nothing more comes.
   * @param most Milliseconds to wait for it; @param signal Ends the wait as well.
   * @returns Whether anything is marked.
   */
  async next(most: number, signal: AbortSignal): Promise<boolean> {
    if (!this.#isMarked) await this.#marked(most, signal);
    if (!this.#isMarked) return false;
    const until = performance.now() + LONGEST;
    while (performance.now() < until && !signal.aborted && (await this.#marked(QUIET, signal)));
    return true;
  }

  get #isMarked(): boolean {
    return this.#all || this.#names.size > 0;
  }

  /** @returns Whether something was marked meanwhile. */
  #marked(most: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (isMarked: boolean) => {
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
        this.#wake = undefined;
        resolve(isMarked);
      };
      const onAbort = () => end(false);
      const timer = setTimeout(() => end(false), most);
      this.#wake = () => end(true);
      signal.addEventListener("abort", onAbort);
      if (signal.aborted) end(false);
    });
  }
}

/** In milliseconds without a change, after which what changed is looked at: files that are copied come in a row. */
const QUIET = 3;

/** In milliseconds: the longest that a change waits for others. */
const LONGEST = 100;

/** What {@link within} gives when the time is over. */
export const late = Symbol("late");

/**
 * What `work` gives, or {@link late} after `most` ms or with `signal`; the work goes on then.
 * @throws what `work` throws in time.
 */
export function within<T>(work: Promise<T>, most: number, signal?: AbortSignal): Promise<T | typeof late> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onLate);
      settle();
    };
    const onLate = () => end(() => resolve(late));
    const timer = setTimeout(onLate, most);
    signal?.addEventListener("abort", onLate);
    work.then(
      (value) => end(() => resolve(value)),
      (error) => end(() => reject(error)),
    );
    if (signal?.aborted) onLate();
  });
}
