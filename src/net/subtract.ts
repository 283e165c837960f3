import { aggregate } from "./aggregate.ts";
import { halves } from "./halves.ts";
import { contains, type Prefix } from "./prefix.ts";
import { PrefixMap } from "./prefix-map.ts";

/**
 * What is in `prefixes` and not in `removed`, in the fewest prefixes: `10.1.0.0/16` without `10.1.0.0/24` is eight.
 * Sorted by family, then by address; no two overlap. Pure.
 */
export function subtract(prefixes: readonly Prefix[], removed: readonly Prefix[]): Prefix[] {
  const whole = aggregate(prefixes);
  const gone = aggregate(removed);
  const holes = inside(whole, gone);
  const goneMap = prefixMap(gone);
  return whole
    .filter((prefix) => goneMap.holder(prefix) === undefined)
    .flatMap((prefix) => without(prefix, holes.get(prefix) ?? []));
}

/** What of `gone` is inside of each of `whole`. No two of either overlap, so each has one holder at most. */
function inside(whole: readonly Prefix[], gone: readonly Prefix[]): ReadonlyMap<Prefix, readonly Prefix[]> {
  const wholeMap = prefixMap(whole);
  const result = new Map<Prefix, Prefix[]>();
  for (const hole of gone) {
    const holder = wholeMap.holder(hole)?.prefix;
    if (holder === undefined) continue;
    const holes = result.get(holder);
    if (holes === undefined) result.set(holder, [hole]);
    else holes.push(hole);
  }
  return result;
}

/** The prefix but for the holes in it: whole where there is none, else what is left of its two halves. */
function without(prefix: Prefix, holes: readonly Prefix[]): Prefix[] {
  if (holes.length === 0) return [prefix];
  if (holes[0] === prefix) return [];
  return halves(prefix).flatMap((half) =>
    without(
      half,
      holes.filter((hole) => contains(half, hole)),
    ),
  );
}

function prefixMap(prefixes: readonly Prefix[]): PrefixMap<true> {
  const map = new PrefixMap<true>();
  for (const prefix of prefixes) map.set(prefix, true);
  return map;
}
