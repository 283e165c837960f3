import fc from "fast-check";
import { expect, test } from "vitest";
import type { Cut } from "../../src/config/agent-pods.ts";
import { overlaps, type Prefix } from "../../src/net/prefix.ts";
import { mustRecut, nextSince, sharesOf } from "../../src/registry/allocate.ts";
import { withoutContradictions } from "../../src/registry/conflicts.ts";
import type { NodeRecord } from "../../src/registry/node-record.ts";
import type { RegistryState } from "../../src/registry/registry.ts";
import { prefix, record, wireguardKey } from "../unit/registry/support.ts";

/** Sixteen shares for up to sixteen nodes: nearly all of them meet. */
const CUTS: readonly Cut[] = [
  { network: prefix("10.101.0.0/24"), length: 28 },
  { network: prefix("fd00:101::/60"), length: 64 },
];
const MOST = 16;

/** Nodes that publish themselves, each with its own view of the others. */
class World {
  readonly #published = new Map<string, NodeRecord>();

  get records(): NodeRecord[] {
    return [...this.#published.values()];
  }

  /** A node comes that sees only some of the others yet. @param clock Its own, in milliseconds. */
  join(name: string, sees: readonly number[], clock: number): void {
    const state = stateOf(this.records.filter((_, index) => sees.includes(index)));
    this.#publish(name, sharesOf(CUTS, name, state), nextSince(name, state, clock));
  }

  /** Now all see all, each itself first; those who must take other prefixes do so, all at the same moment. */
  recut(): boolean {
    const losers = this.records.flatMap((own) => {
      const state = stateOf(this.records, own);
      if (!mustRecut(own, state)) return [];
      return [{ name: own.name, prefixes: sharesOf(CUTS, own.name, state, own), since: nextSince(own.name, state, 0) }];
    });
    for (const { name, prefixes, since } of losers) this.#publish(name, prefixes, since);
    return losers.length > 0;
  }

  /** Who has what the node has as well. */
  rivals(one: NodeRecord): NodeRecord[] {
    const meets = (theirs: Prefix) => one.podPrefixes.some((mine) => overlaps(mine, theirs));
    return this.records.filter((other) => other !== one && other.podPrefixes.some(meets));
  }

  #publish(name: string, podPrefixes: readonly string[], since: number): void {
    const wireguard = { publicKey: wireguardKey(Number.parseInt(name.slice(1), 36)) };
    const time = new Date(since).toISOString();
    this.#published.set(name, record(1, { name, podPrefixes, since: time, underlay: {}, wireguard }));
  }
}

/** What a node sees of these, that accepted itself before all others. */
function stateOf(records: readonly NodeRecord[], own?: NodeRecord): RegistryState {
  const before = new Map(own === undefined ? [] : [[own.name, own]]);
  const candidates = records.map((one) => ({ record: one, where: () => one.name }));
  return { version: "1", ...withoutContradictions(candidates, before) };
}

const nodes = fc.uniqueArray(
  fc.record({
    number: fc.nat({ max: 1_000_000 }),
    sees: fc.array(fc.nat({ max: MOST })),
    clock: fc.nat({ max: 5 }),
  }),
  { minLength: 1, maxLength: MOST, selector: ({ number }) => number },
);

test("whatever each saw of the others when it came, in the end each has prefixes of its own, and who was alone with his keeps them", () => {
  fc.assert(
    fc.property(nodes, (joining) => {
      const world = new World();
      for (const { number, sees, clock } of joining) world.join(`n${number.toString(36)}`, sees, clock);
      const alone = world.records.filter((one) => world.rivals(one).length === 0);
      let rounds = 0;
      while (world.recut()) rounds += 1;
      expect(rounds).toBeLessThan(joining.length);
      for (const one of world.records) expect(world.rivals(one)).toEqual([]);
      for (const one of alone) expect(world.records).toContain(one);
    }),
    { numRuns: 300 },
  );
});

test("who comes after the others, and sees them all, takes nothing of theirs", () => {
  fc.assert(
    fc.property(nodes, (joining) => {
      const world = new World();
      const all = Array.from({ length: MOST }, (_, index) => index);
      for (const { number, clock } of joining) world.join(`n${number.toString(36)}`, all, clock);
      const before = world.records;
      expect(world.recut()).toBe(false);
      for (const one of before) expect(world.rivals(one)).toEqual([]);
    }),
    { numRuns: 300 },
  );
});
