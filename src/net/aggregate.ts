import { networkAddress, type Prefix, prefixLength, prefixOf } from "./prefix.ts";
import { type PrefixParts, sortedParts } from "./sorted.ts";

/**
 * The smallest list of prefixes that holds exactly the same addresses: what another one holds is left out, and two
 * halves become their whole. Sorted by family, then by address; no two overlap. Pure.
 */
export function aggregate(prefixes: readonly Prefix[]): Prefix[] {
  return aggregateParts(sortedParts(prefixes));
}

/** {@link aggregate}, for who has read and sorted them already. Pure. @param sorted As `sortedParts` has them. */
export function aggregateParts(sorted: readonly PrefixParts[]): Prefix[] {
  const result: PrefixParts[] = [];
  for (const parts of sorted) {
    const last = result.at(-1);
    // In this order what holds a prefix stands directly before it, or has been merged into what does.
    if (last === undefined || !holds(last, parts)) pushMerged(result, parts);
  }
  return result.map(({ prefix, length }) =>
    length === prefixLength(prefix) ? prefix : prefixOf(networkAddress(prefix), length),
  );
}

/** A whole may be the other half of what stands before it: up to the shortest prefix. It has the address of its lower half. */
function pushMerged(result: PrefixParts[], parts: PrefixParts): void {
  let merged = parts;
  for (let last = result.at(-1); last !== undefined && isUpperHalf(merged, last); last = result.at(-1)) {
    result.pop();
    merged = { ...last, length: last.length - 1 };
  }
  result.push(merged);
}

/** Whether the two are halves of one prefix. The lower one stands before the upper one, so they are never the same. */
function isUpperHalf(upper: PrefixParts, lower: PrefixParts): boolean {
  const { length } = lower;
  return length > 0 && upper.length === length && holds({ ...lower, length: length - 1 }, upper);
}

function holds(outer: PrefixParts, inner: PrefixParts): boolean {
  if (outer.bytes.length !== inner.bytes.length || outer.length > inner.length) return false;
  const whole = outer.length >> 3;
  for (let index = 0; index < whole; index += 1) if (outer.bytes[index] !== inner.bytes[index]) return false;
  const shift = 8 - (outer.length & 7); // of the next byte the upper bits count; after a whole byte none does: 8
  return (outer.bytes[whole] ?? 0) >> shift === (inner.bytes[whole] ?? 0) >> shift;
}
