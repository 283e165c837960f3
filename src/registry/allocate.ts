import { createHash } from "node:crypto";
import type { Cut } from "../config/agent-pods.ts";
import { Code, Fault } from "../fault.ts";
import { contains, type Prefix, prefixLength, prefixOf } from "../net/prefix.ts";
import { nth, size } from "../net/range.ts";
import { claimsOf, rangeOf } from "./claims.ts";
import { precedes } from "./conflicts.ts";
import type { NodeRecord } from "./node-record.ts";
import type { RegistryState } from "./registry.ts";

/**
 * A node's share of a network: where the hash of its name points, or the next free one after that, in a circle: always
 * the same one when nobody has it. Pure.
 * @param taken What is not free, in any order.
 * @throws Fault 7 when nothing is.
 */
export function cutPrefix({ network, length }: Cut, name: string, taken: readonly Prefix[]): Prefix {
  const shareBits = BigInt(length - prefixLength(network));
  const hostBits = hostBitsOf(network) - shareBits;
  const shares = 1n << shareBits;
  const used = usedShares(network, hostBits, taken);
  const start = hashOf(name) & (shares - 1n);
  const share = firstFree(used, start, shares) ?? firstFree(used, 0n, start);
  if (share !== undefined) return prefixOf(nth(network, share << hostBits), length);
  const what = `network "${network}" is full: of its ${shares} shares of ${1n << hostBits} addresses (/${length}) none is free`;
  const remedy = "give a larger network or a smaller ipsPerNode on all nodes, or take out nodes that are gone for good";
  throw new Fault(Code.invalidConfig, what, remedy);
}

/**
 * The pod prefixes of a node whose network is cut: those that it has, as long as it may keep them and they fit the
 * configuration, else new ones. Pure.
 * @param own The node's record as it is published; absent before the first time.
 * @throws Fault 7 when the network is full.
 */
export function sharesOf(cuts: readonly Cut[], name: string, state: RegistryState, own?: NodeRecord): Prefix[] {
  const kept = own === undefined ? [] : withoutLost(own, state);
  const taken = others(name, state).flatMap(({ podPrefixes }) => podPrefixes);
  return cuts.map((cut) => {
    const fits = (prefix: Prefix) => prefixLength(prefix) === cut.length && contains(cut.network, prefix);
    return kept.find(fits) ?? cutPrefix(cut, name, taken);
  });
}

/**
 * Whether a node must take other pod prefixes, as somebody else has part of them and took them before it. Of two that
 * took the same at once exactly one must, whatever either of them saw first. Pure.
 * @param own The node's record as it is published.
 */
export function mustRecut(own: NodeRecord, state: RegistryState): boolean {
  return withoutLost(own, state).length < own.podPrefixes.length;
}

/** Those of its pod prefixes that nobody has who goes before it. */
function withoutLost(own: NodeRecord, state: RegistryState): Prefix[] {
  const before = others(own.name, state)
    .filter((other) => precedes(other, own))
    .flatMap((other) => claimsOf(other).ranges);
  return own.podPrefixes.filter((prefix) => {
    const { first, last } = rangeOf(prefix);
    return !before.some((other) => other.first <= last && first <= other.last);
  });
}

/**
 * The time to publish with prefixes that are taken now (`since`): later than all that is known, whatever the clock says,
 * so that nobody who has some loses them to a node whose clock is behind. Pure.
 * @param now In milliseconds since 1970.
 */
export function nextSince(name: string, state: RegistryState, now: number): number {
  return others(name, state).reduce((latest, { since = 0 }) => Math.max(latest, since + 1), now);
}

/** Those that are refused as well: they may be the ones that stay in the end. */
function others(name: string, state: RegistryState): NodeRecord[] {
  const refused = state.refusals.flatMap(({ record }) => record ?? []);
  return [...state.nodes, ...refused].filter((record) => record.name !== name);
}

function hostBitsOf(network: Prefix): bigint {
  return BigInt(size(network).toString(2).length - 1);
}

/** 128 bits. */
function hashOf(name: string): bigint {
  return BigInt(`0x${createHash("sha256").update(name).digest("hex").slice(0, 32)}`);
}

/** Numbers of shares, both ends included. */
interface Shares {
  readonly first: bigint;
  readonly last: bigint;
}

/** Which shares are not free: sorted. */
function usedShares(network: Prefix, hostBits: bigint, taken: readonly Prefix[]): Shares[] {
  const whole = rangeOf(network);
  return taken
    .map(rangeOf)
    .filter(({ first, last }) => first <= whole.last && whole.first <= last)
    .map(({ first, last }) => ({
      first: (first < whole.first ? 0n : first - whole.first) >> hostBits,
      last: ((last > whole.last ? whole.last : last) - whole.first) >> hostBits,
    }))
    .sort((one, other) => (one.first === other.first ? 0 : one.first < other.first ? -1 : 1));
}

/** The first share from `start` on, before `end`. */
function firstFree(used: readonly Shares[], start: bigint, end: bigint): bigint | undefined {
  let free = start;
  for (const { first, last } of used) {
    if (first > free) break;
    if (last >= free) free = last + 1n;
  }
  return free < end ? free : undefined;
}
