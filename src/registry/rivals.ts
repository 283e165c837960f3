import { claimsOf, type KeyClaim, type RangeClaim } from "./claims.ts";
import type { NodeRecord } from "./node-record.ts";

/** Two claims of different nodes of which only one can hold. */
export interface Contradiction {
  readonly one: Claimant;
  readonly other: Claimant;
}

/** A claim, and whose it is. */
export interface Claimant {
  readonly record: NodeRecord;
  readonly claim: KeyClaim | RangeClaim;
}

/**
 * Contradictions among `records`: at least one for each record that has any; of claims that many have, not each pair.
 * In time that grows with their number, not its square. Pure; depends on the order of the records.
 */
export function contradictions(records: readonly NodeRecord[]): Contradiction[] {
  const found: Contradiction[] = [];
  const owners = new Map<string, Claimant>();
  const ranges: (Claimant & { readonly claim: RangeClaim })[] = [];
  for (const record of records) {
    const claims = claimsOf(record);
    for (const claim of claims.keys) {
      const one = owners.get(claim.key);
      if (one === undefined) owners.set(claim.key, { record, claim });
      else if (one.record !== record) found.push({ one, other: { record, claim } });
    }
    for (const claim of claims.ranges) ranges.push({ record, claim });
  }
  ranges.sort((one, other) => byRange(one.claim, other.claim)); // stable
  let holder = ranges[0];
  for (const range of ranges.slice(1)) {
    if (holder !== undefined && range.claim.first <= holder.claim.last) {
      if (holder.record !== range.record) found.push({ one: holder, other: range });
    } else {
      holder = range;
    }
  }
  return found;
}

/** By where they begin, and of those the longest first: what holds others stands before them. */
function byRange(one: RangeClaim, other: RangeClaim): number {
  if (one.first !== other.first) return one.first < other.first ? -1 : 1;
  return one.last === other.last ? 0 : one.last > other.last ? -1 : 1;
}

/** Nodes that do not contradict each other, to be asked quickly what one more would contradict. */
export class Peaceful {
  readonly #owners = new Map<string, Claimant>();
  /** Sorted; no two overlap. */
  readonly #ranges: (Claimant & { readonly claim: RangeClaim })[] = [];

  constructor(records: Iterable<NodeRecord>) {
    for (const record of records) {
      const claims = claimsOf(record);
      for (const claim of claims.keys) this.#owners.set(claim.key, { record, claim });
      for (const claim of claims.ranges) this.#ranges.push({ record, claim });
    }
    this.#ranges.sort((one, other) => byRange(one.claim, other.claim));
  }

  /** Adds a node that {@link rival} finds none of. */
  add(record: NodeRecord): void {
    const claims = claimsOf(record);
    for (const claim of claims.keys) this.#owners.set(claim.key, { record, claim });
    for (const claim of claims.ranges) this.#ranges.splice(this.#firstFrom(claim.first), 0, { record, claim });
  }

  remove(record: NodeRecord): void {
    const claims = claimsOf(record);
    for (const { key } of claims.keys) if (this.#owners.get(key)?.record === record) this.#owners.delete(key);
    for (const { first } of claims.ranges) {
      const at = this.#firstFrom(first);
      if (this.#ranges[at]?.record === record) this.#ranges.splice(at, 1);
    }
  }

  /** Of the contradictions with a node of another name the first one; undefined when there is none. */
  rival(record: NodeRecord): Contradiction | undefined {
    const claims = claimsOf(record);
    for (const claim of claims.ranges) {
      const holder = this.#overlapping(claim, record.name);
      if (holder !== undefined) return { one: holder, other: { record, claim } };
    }
    for (const claim of claims.keys) {
      const owner = this.#owners.get(claim.key);
      if (owner !== undefined && owner.record.name !== record.name) return { one: owner, other: { record, claim } };
    }
    return undefined;
  }

  #overlapping(claim: RangeClaim, except: string): Claimant | undefined {
    const at = this.#firstFrom(claim.first);
    const before = this.#ranges[at - 1];
    if (before !== undefined && before.claim.last >= claim.first && before.record.name !== except) return before;
    for (let index = at; index < this.#ranges.length; index += 1) {
      const range = this.#ranges[index];
      if (range === undefined || range.claim.first > claim.last) return undefined;
      if (range.record.name !== except) return range;
    }
    return undefined;
  }

  /** Index of the first range that begins at `first` or later. */
  #firstFrom(first: bigint): number {
    let [low, high] = [0, this.#ranges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ranges[middle]?.claim.first ?? first) < first) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
