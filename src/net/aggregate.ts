import { addressBytes } from "./address.ts";
import { contains, networkAddress, type Prefix, prefixLength, prefixOf } from "./prefix.ts";

/**
 * The smallest list of prefixes that holds exactly the same addresses: what another one holds is left out, and two
 * halves become their whole. Sorted by family, then by address; no two overlap. Pure.
 */
export function aggregate(prefixes: readonly Prefix[]): Prefix[] {
  const result: Prefix[] = [];
  for (const prefix of sorted(prefixes)) {
    const last = result.at(-1);
    // In this order what holds a prefix stands directly before it, or has been merged into what does.
    if (last === undefined || !contains(last, prefix)) pushMerged(result, prefix);
  }
  return result;
}

/** A whole may be the other half of what stands before it: up to the shortest prefix. */
function pushMerged(result: Prefix[], prefix: Prefix): void {
  let merged = prefix;
  for (let last = result.at(-1); last !== undefined && isOtherHalf(last, merged); last = result.at(-1)) {
    result.pop();
    merged = parent(merged);
  }
  result.push(merged);
}

function isOtherHalf(one: Prefix, other: Prefix): boolean {
  const length = prefixLength(other);
  return length > 0 && prefixLength(one) === length && parent(one) === parent(other);
}

/** The prefix of one bit less. */
function parent(prefix: Prefix): Prefix {
  return prefixOf(networkAddress(prefix), prefixLength(prefix) - 1);
}

/** IPv4 first, then by address, and of one address the shorter prefix first. */
function sorted(prefixes: readonly Prefix[]): Prefix[] {
  return prefixes
    .map((prefix) => ({ prefix, bytes: addressBytes(networkAddress(prefix)), length: prefixLength(prefix) }))
    .sort(
      (one, other) =>
        one.bytes.length - other.bytes.length || Buffer.compare(one.bytes, other.bytes) || one.length - other.length,
    )
    .map(({ prefix }) => prefix);
}
