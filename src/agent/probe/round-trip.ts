/** A smoothed round trip, in milliseconds. */
export interface RoundTrip {
  /** SRTT. */
  readonly smoothed: number;
  /** RTTVAR. */
  readonly variation: number;
}

/** The estimate after one more measurement (RFC 6298, section 2, with its gains of 1/8 and 1/4). Pure. */
export function measured(before: RoundTrip | undefined, roundTrip: number): RoundTrip {
  if (before === undefined) return { smoothed: roundTrip, variation: roundTrip / 2 };
  const { smoothed, variation } = before;
  return {
    variation: variation + (Math.abs(smoothed - roundTrip) - variation) / 4,
    smoothed: smoothed + (roundTrip - smoothed) / 8,
  };
}

/** Milliseconds after which an answer is late: RFC 6298's RTO, between {@link SHORTEST} and {@link LONGEST}. Pure. */
export function patienceFor(estimate: RoundTrip | undefined): number {
  if (estimate === undefined) return LONGEST;
  return Math.min(LONGEST, Math.max(SHORTEST, estimate.smoothed + 4 * estimate.variation));
}

/** A busy node answers some hundred milliseconds late. */
const SHORTEST = 250;
const LONGEST = 1000;
