import type { Toll } from "./streams.ts";

/** The first and the last of some. Pure. */
export function range(names: readonly string[]): string {
  return `${names[0]} to ${names.at(-1)}`;
}

/** Pure. */
export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

/** How long it took, and what it cost. Pure. */
export function tollText({ time, sent, lost }: Toll): string {
  return `${seconds(time)}; ${lost} of ${sent} pings lost`;
}
