import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { family } from "../../src/net/address.ts";
import { overlaps } from "../../src/net/prefix.ts";
import { compareNames, withoutContradictions } from "../../src/registry/conflicts.ts";
import type { NodeRecord } from "../../src/registry/node-record.ts";
import { Peace } from "../../src/registry/peace.ts";
import { record, wireguardKey } from "../unit/registry/support.ts";

function byName(records: readonly NodeRecord[]): Map<string, NodeRecord> {
  return new Map(records.map((one) => [one.name, one]));
}

function together(records: readonly NodeRecord[], before: readonly NodeRecord[] = []) {
  return withoutContradictions(
    records.map((one) => ({ record: one, where: () => one.name })),
    byName(before),
  );
}

/** Nodes of a small world, in which nearly everything contradicts something. */
function crowd(): fc.Arbitrary<NodeRecord[]> {
  const one = fc.record({
    name: fc.constantFrom(..."abcdefgh"),
    podPrefixes: fc.uniqueArray(
      fc.constantFrom(
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.1.0/24",
        "10.1.2.0/24",
        "10.2.0.0/16",
        "10.2.3.0/24",
        "fd00::/48",
        "fd00::/64",
      ),
      { minLength: 1, maxLength: 3 },
    ),
    key: fc.nat({ max: 5 }),
    next: fc.option(fc.nat({ max: 9 })),
    host: fc.constantFrom("10.9.0.1", "10.9.0.2", "10.9.0.3", "10.9.0.4"),
    identity: fc.constantFrom(undefined, "x", "y", "X"),
    since: fc.constantFrom(undefined, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
  });
  return fc.uniqueArray(one, { maxLength: 8, selector: ({ name }) => name }).map((raws) =>
    raws.flatMap(({ name, podPrefixes, key, next, host, identity, since }) => {
      try {
        const wireguard = {
          publicKey: wireguardKey(key),
          nextPublicKey: next === null ? undefined : wireguardKey(next),
        };
        const ipsec = identity === undefined ? undefined : { identity };
        return [record(1, { name, podPrefixes, wireguard, ipsec, since, underlay: { private: host } })];
      } catch {
        return []; // contradicts itself
      }
    }),
  );
}

/** What is meant, in the slowest way. */
function contradict(one: NodeRecord, other: NodeRecord): boolean {
  const keys = ({ wireguard, ipsec, underlay, addresses }: NodeRecord) => [
    ...[wireguard?.publicKey, wireguard?.nextPublicKey].filter((key) => key !== undefined),
    ...(ipsec === undefined ? [] : [`id ${ipsec.identity.toLowerCase()}`]),
    ...underlay.private,
    ...addresses,
  ];
  if (keys(one).some((key) => keys(other).includes(key))) return true;
  return one.podPrefixes.some((prefix) =>
    other.podPrefixes.some((prefix2) => family(prefix) === family(prefix2) && overlaps(prefix, prefix2)),
  );
}

describe("whatever nodes come together", () => {
  const property = (check: (records: NodeRecord[], before: readonly NodeRecord[]) => void) =>
    fc.assert(
      fc.property(crowd(), crowd(), (records, others) => check(records, together(others).nodes)),
      { numRuns: 1000 },
    );

  test("those that stay do not contradict each other, and are sorted by name", () => {
    property((records, before) => {
      const { nodes } = together(records, before);
      for (const [index, one] of nodes.entries()) {
        for (const other of nodes.slice(index + 1)) {
          expect(contradict(one, other)).toBe(false);
          expect(compareNames(one.name, other.name)).toBe(-1);
        }
      }
    });
  });

  test("each stays as it is, or is refused for one that stays and that it names", () => {
    property((records, before) => {
      const { nodes, refusals } = together(records, before);
      const stay = byName(nodes);
      for (const one of records) {
        const refusal = refusals.filter(({ name }) => name === one.name);
        if (stay.get(one.name) === one) {
          expect(refusal).toEqual([]);
          continue;
        }
        expect(refusal).toHaveLength(1);
        expect(refusal[0]?.record).toBe(one);
        expect(refusal[0]?.kept).toBe(stay.has(one.name));
        const rival = stay.get(/node (\w)(?: has as well)?$/.exec(refusal[0]?.what ?? "")?.[1] ?? "");
        expect(rival !== undefined && rival.name !== one.name && contradict(rival, one)).toBe(true);
      }
    });
  });

  test("who was there before and still is stays, as before or as it is now", () => {
    property((records, before) => {
      const stay = byName(together(records, before).nodes);
      const now = byName(records);
      for (const one of before) {
        const record = now.get(one.name);
        if (record !== undefined) expect([one, record]).toContain(stay.get(one.name));
      }
      for (const one of stay.keys()) expect(now.has(one)).toBe(true);
    });
  });

  test("their order does not count, and asked again the answer is the same", () => {
    fc.assert(
      fc.property(
        crowd().chain((records) =>
          fc.tuple(fc.constant(records), fc.shuffledSubarray(records, { minLength: records.length })),
        ),
        crowd(),
        ([records, shuffled], others) => {
          const before = together(others).nodes;
          const first = together(records, before);
          expect(together(shuffled, before)).toEqual(first);
          const again = together(records, first.nodes);
          expect(again.nodes).toEqual(first.nodes);
          expect(again.refusals.map(({ name }) => name)).toEqual(first.refusals.map(({ name }) => name));
        },
      ),
      { numRuns: 1000 },
    );
  });
});

test("who asks again and again of nearly the same nodes hears the same as who asks for the first time", () => {
  fc.assert(
    fc.property(fc.array(crowd(), { minLength: 1, maxLength: 12 }), fc.array(fc.boolean()), (crowds, kept) => {
      const peace = new Peace();
      let before: readonly NodeRecord[] = [];
      for (const [index, next] of crowds.entries()) {
        // Often only some come, and the rest stays the very same.
        const names = new Set(next.map(({ name }) => name));
        const records = kept[index] ? [...before.filter(({ name }) => !names.has(name)), ...next] : next;
        const candidates = records.map((one) => ({ record: one, where: () => one.name }));
        const result = withoutContradictions(candidates, byName(before), peace);
        expect(result).toEqual(withoutContradictions(candidates, byName(before)));
        before = result.nodes;
      }
    }),
  );
});
