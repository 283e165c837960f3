import type { HistogramSample } from "./exposition.ts";

/** Counts observations by size. */
export class Histogram {
  readonly #counts: number[];
  #count = 0;
  #sum = 0;

  /** @param bounds Upper bounds of the buckets, ascending, without the infinite one. */
  constructor(private readonly bounds: readonly number[]) {
    this.#counts = bounds.map(() => 0);
  }

  observe(value: number): void {
    this.#count += 1;
    this.#sum += value;
    const at = this.bounds.findIndex((bound) => value <= bound);
    if (at >= 0) this.#counts[at] = (this.#counts[at] ?? 0) + 1;
  }

  sample(labels: Readonly<Record<string, string>>): HistogramSample {
    let below = 0;
    const buckets = this.bounds.map((le, index) => {
      below += this.#counts[index] ?? 0;
      return { le, count: below };
    });
    return { labels, buckets, count: this.#count, sum: this.#sum };
  }
}

/** Seconds, from a plan that found nothing to do to a node with a thousand peers that is brought up. */
export const DURATION_BOUNDS: readonly number[] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
