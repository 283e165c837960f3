import { addressBytes } from "./address.ts";
import { networkAddress, type Prefix, prefixLength } from "./prefix.ts";

/** A prefix with its parts, for who compares many: reading them is what costs. */
export interface PrefixParts {
  readonly prefix: Prefix;
  /** Of the first address: 4 or 16 bytes. */
  readonly bytes: Uint8Array;
  /** In bits. */
  readonly length: number;
}

/**
 * The same prefixes with their parts, IPv4 first, then by address, and of one address the shorter prefix first: what holds
 * another stands before it. Pure.
 */
export function sortedParts(prefixes: readonly Prefix[]): PrefixParts[] {
  return prefixes
    .map((prefix) => ({ prefix, bytes: addressBytes(networkAddress(prefix)), length: prefixLength(prefix) }))
    .sort(
      (one, other) =>
        one.bytes.length - other.bytes.length || compareBytes(one.bytes, other.bytes) || one.length - other.length,
    );
}

/** Of equal length. For so few bytes a call of `Buffer.compare` takes longer. */
function compareBytes(one: Uint8Array, other: Uint8Array): number {
  for (let index = 0; index < one.length; index += 1) {
    const difference = (one[index] ?? 0) - (other[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
