/** What a series of measurements comes to. Min, median and max: a mean would hide what a busy machine did to it. */
export interface Summary {
  readonly min: number;
  readonly median: number;
  readonly max: number;
  readonly count: number;
}

/** @throws RangeError for an empty series. */
export function summary(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (min === undefined || max === undefined) throw new RangeError("nothing was measured");
  return { min, median: median(sorted), max, count: sorted.length };
}

/**
 * The ratio of two series, round by round: both values of a round were measured within a second, so that a machine
 * which gets slower in the course of the run does not change it.
 * @throws RangeError when one has more rounds than the other.
 */
export function pairedRatio(numerators: readonly number[], denominators: readonly number[]): Summary {
  return summary(paired(numerators, denominators, (a, b) => a / b));
}

/** The sums of two series, round by round. @throws RangeError as {@link pairedRatio}. */
export function pairedSum(some: readonly number[], others: readonly number[]): number[] {
  return paired(some, others, (a, b) => a + b);
}

function paired(some: readonly number[], others: readonly number[], combine: (a: number, b: number) => number) {
  if (some.length !== others.length)
    throw new RangeError(`${some.length} rounds of one, ${others.length} of the other`);
  return some.map((value, round) => combine(value, others[round] ?? Number.NaN));
}

function median(sorted: readonly number[]): number {
  const middle = sorted.length / 2;
  const pair = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return ((pair[0] ?? 0) + (pair[1] ?? 0)) / 2;
}
