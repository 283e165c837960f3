/** Milliseconds until something that has failed `failures` times in a row is tried again: 0.5 s, doubled up to 30 s. Pure. */
export function backOff(failures: number): number {
  return Math.min(FIRST * 2 ** Math.max(0, failures - 1), LONGEST);
}

const FIRST = 500;
const LONGEST = 30_000;
