import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Cut } from "../../../src/config/agent-pods.ts";
import { Fault } from "../../../src/fault.ts";
import { contains, overlaps, prefixLength } from "../../../src/net/prefix.ts";
import { cutPrefix, mustRecut, nextSince, sharesOf } from "../../../src/registry/allocate.ts";
import { withoutContradictions } from "../../../src/registry/conflicts.ts";
import type { NodeRecord } from "../../../src/registry/node-record.ts";
import type { RegistryState } from "../../../src/registry/registry.ts";
import { prefix, record, wireguardKey } from "./support.ts";

const IPV4: Cut = { network: prefix("10.101.0.0/16"), length: 24 };
const IPV6: Cut = { network: prefix("fd00:101::/48"), length: 64 };

const EMPTY: RegistryState = { version: "1", nodes: [], refusals: [] };

function node(name: string, more: Readonly<Record<string, unknown>> = {}): NodeRecord {
  return record(1, { name, underlay: {}, wireguard: { publicKey: wireguardKey(hash(name)) }, ...more });
}

function hash(text: string): number {
  return [...text].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 1_000_003, 7);
}

/** What one node sees, who saw `before` last. */
function seen(records: readonly NodeRecord[], before: ReadonlyMap<string, NodeRecord> = new Map()): RegistryState {
  return {
    version: "1",
    ...withoutContradictions(
      records.map((one) => ({ record: one, where: () => one.name })),
      before,
    ),
  };
}

function names(maxLength: number): fc.Arbitrary<string[]> {
  return fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9]{0,6}$/), { minLength: 1, maxLength });
}

describe("a share of a network", () => {
  test("is the same for the same name, and where the hash points", () => {
    expect(cutPrefix(IPV4, "node1", [])).toBe("10.101.243.0/24");
    expect(cutPrefix(IPV4, "node2", [])).toBe("10.101.49.0/24");
    expect(cutPrefix(IPV6, "node1", [])).toBe("fd00:101:0:37f3::/64");
    expect(cutPrefix({ network: prefix("10.0.0.0/8"), length: 8 }, "node1", [])).toBe("10.0.0.0/8");
  });

  test.each([
    ["is taken", ["10.101.243.0/24"], "10.101.244.0/24"],
    ["is taken in part", ["10.101.243.77/32"], "10.101.244.0/24"],
    ["is taken with what is around it", ["10.101.128.0/17"], "10.101.0.0/24"],
    [
      "is taken, and the next one by overlapping prefixes",
      ["10.101.243.0/24", "10.101.244.0/25", "10.101.244.0/26"],
      "10.101.245.0/24",
    ],
    ["is taken with others, one of them twice", ["10.101.240.0/21", "10.101.241.0/24"], "10.101.248.0/24"],
    ["is taken, and all up to the end, and the first", ["10.101.128.0/17", "10.101.0.0/24"], "10.101.1.0/24"],
    ["is taken by those of other networks and families", ["10.102.243.0/24", "fd00:101::/16"], "10.101.243.0/24"],
    [
      "is all that is free",
      [
        "10.101.0.0/17",
        "10.101.128.0/18",
        "10.101.192.0/19",
        "10.101.224.0/20",
        "10.101.240.0/23",
        "10.101.242.0/24",
      ].concat(["10.101.244.0/22", "10.101.248.0/21"]),
      "10.101.243.0/24",
    ],
    [
      "is taken, and all behind it but the one before it",
      [
        "10.101.0.0/17",
        "10.101.128.0/18",
        "10.101.192.0/19",
        "10.101.224.0/20",
        "10.101.240.0/23",
        "10.101.243.0/24",
      ].concat(["10.101.244.0/22", "10.101.248.0/21"]),
      "10.101.242.0/24",
    ],
  ])("that %s", (_, taken, share) => {
    expect(cutPrefix(IPV4, "node1", taken.map(prefix))).toBe(share);
  });

  test("is refused when the network is full, with its name and how many shares it has", () => {
    const small: Cut = { network: prefix("10.101.0.0/22"), length: 24 };
    try {
      cutPrefix(small, "node1", ["10.101.0.0/23", "10.101.2.0/24", "10.101.3.9/32"].map(prefix));
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      expect(error.code).toBe(7);
      expect(error.message).toMatch(
        /network "10\.101\.0\.0\/22" is full: of its 4 shares of 256 addresses \(\/24\) none is free/,
      );
      expect(error.remedy).toMatch(/larger network or a smaller ipsPerNode/);
      return;
    }
    throw new Error("there was a share");
  });

  test("is another one for each, whoever comes in what order, until the network is full", () => {
    fc.assert(
      fc.property(
        names(70),
        fc.constantFrom(IPV4, IPV6, { network: prefix("fd00::/120"), length: 126 }),
        (all, cut) => {
          const taken: ReturnType<typeof prefix>[] = [];
          for (const [index, name] of all.entries()) {
            if (cut.length === 126 && index >= 64) {
              expect(() => cutPrefix(cut, name, taken)).toThrow(/is full/);
              continue;
            }
            const share = cutPrefix(cut, name, taken);
            expect(contains(cut.network, share)).toBe(true);
            expect(prefixLength(share)).toBe(cut.length);
            expect(taken.some((other) => overlaps(other, share))).toBe(false);
            taken.push(share);
          }
        },
      ),
    );
  });

  test("can be had by exactly as many as there are", () => {
    const cut: Cut = { network: prefix("10.101.0.0/24"), length: 30 };
    const taken: ReturnType<typeof prefix>[] = [];
    for (let number = 0; number < 64; number += 1) taken.push(cutPrefix(cut, `n${number}`, taken));
    expect(new Set(taken).size).toBe(64);
    expect(() => cutPrefix(cut, "n64", taken)).toThrow(/of its 64 shares of 4 addresses/);
  });
});

describe("a node that cuts its pod prefixes", () => {
  test("keeps what it has as long as it fits the configuration", () => {
    const own = node("node1", { podPrefixes: ["10.101.7.0/24", "fd00:101:0:9::/64"] });
    expect(sharesOf([IPV4, IPV6], "node1", seen([own]), own)).toEqual(own.podPrefixes);
    expect(sharesOf([{ ...IPV4, length: 25 }, IPV6], "node1", seen([own]), own)).toEqual([
      "10.101.249.128/25",
      "fd00:101:0:9::/64",
    ]);
    expect(sharesOf([{ network: prefix("10.7.0.0/16"), length: 24 }], "node1", seen([own]), own)).toEqual([
      "10.7.243.0/24",
    ]);
  });

  test("avoids what a refused node has as well", () => {
    const a = node("a", { podPrefixes: "10.101.243.0/24" });
    const b = node("b", { podPrefixes: ["10.101.243.0/25", "10.101.244.0/24"] });
    expect(sharesOf([IPV4], "node1", seen([a, b]))).toEqual(["10.101.245.0/24"]);
  });

  test("tells a time that is later than all that it knows, whatever its clock says", () => {
    const other = node("a", { since: "2026-11-21T12:00:00.000Z" });
    const since = other.since ?? 0;
    expect(nextSince("b", EMPTY, 1000)).toBe(1000);
    expect(nextSince("b", seen([other]), 1000)).toBe(since + 1);
    expect(nextSince("b", seen([other]), since + 5)).toBe(since + 5);
    expect(nextSince("a", seen([other]), 1000)).toBe(1000);
  });

  test("of two that took the same the later one takes another, whatever either saw first", () => {
    const at = (name: string, since: string) => node(name, { podPrefixes: "10.101.1.0/24", since });
    const [a, b] = [at("a", "2026-01-02T00:00:00.000Z"), at("b", "2026-01-01T00:00:00.000Z")];
    for (const before of [[], [a], [b]]) {
      const state = seen([a, b], new Map(before.map((one) => [one.name, one])));
      expect(mustRecut(a, state)).toBe(true);
      expect(mustRecut(b, state)).toBe(false);
      expect(sharesOf([IPV4], "a", state, a)).not.toEqual(a.podPrefixes);
      expect(sharesOf([IPV4], "b", state, b)).toEqual(b.podPrefixes);
    }
    const same = at("b", "2026-01-02T00:00:00.000Z");
    expect(mustRecut(a, seen([a, same]))).toBe(false);
    expect(mustRecut(same, seen([a, same]))).toBe(true);
  });

  test("takes no other prefix than the one that it lost", () => {
    const a = node("a", { podPrefixes: "10.101.1.0/24", since: "2026-01-01T00:00:00Z" });
    const b = node("b", { podPrefixes: ["10.101.1.0/24", "fd00:101:0:7::/64"], since: "2026-01-02T00:00:00Z" });
    const shares = sharesOf([IPV4, IPV6], "b", seen([a, b]), b);
    expect(shares[0]).not.toBe("10.101.1.0/24");
    expect(shares[1]).toBe("fd00:101:0:7::/64");
  });

  test("gives way to one that has its prefixes by hand", () => {
    const [byHand, own] = [
      node("z", { podPrefixes: "10.101.0.0/17" }),
      node("a", { podPrefixes: "10.101.1.0/24", since: "2026-01-01T00:00:00Z" }),
    ];
    expect(mustRecut(own, seen([own, byHand]))).toBe(true);
    expect(mustRecut(byHand, seen([own, byHand]))).toBe(false);
  });
});
