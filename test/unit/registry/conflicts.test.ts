import { describe, expect, test } from "vitest";
import { type Candidate, withoutContradictions } from "../../../src/registry/conflicts.ts";
import type { NodeRecord } from "../../../src/registry/node-record.ts";
import { namesOf, record, wireguardKey } from "./support.ts";

type Raw = Readonly<Record<string, unknown>>;

function candidates(...records: readonly NodeRecord[]): Candidate[] {
  return records.map((one) => ({ record: one, where: (field) => `${one.name}/${field}` }));
}

function byName(records: readonly NodeRecord[]): Map<string, NodeRecord> {
  return new Map(records.map((one) => [one.name, one]));
}

function together(records: readonly NodeRecord[], before: readonly NodeRecord[] = []) {
  return withoutContradictions(candidates(...records), byName(before));
}

/** A node by a letter, which contradicts no other but for `more`. */
function node(letter: string, more: Raw = {}): NodeRecord {
  return record(letter.charCodeAt(0), { name: letter, ...more });
}

describe("of two nodes that contradict each other", () => {
  test.each<[string, Raw, Raw, string]>([
    [
      "the same pod prefix",
      { podPrefixes: "10.1.0.0/24" },
      { podPrefixes: "10.1.0.0/24" },
      'podPrefixes[0] is "10.1.0.0/24", which node a has as well',
    ],
    [
      "a pod prefix inside",
      { podPrefixes: "10.1.0.0/16" },
      { podPrefixes: ["10.9.9.0/24", "10.1.3.0/24"] },
      'podPrefixes[1] is "10.1.3.0/24", which overlaps "10.1.0.0/16" of node a',
    ],
    [
      "the last pod prefix inside",
      { podPrefixes: "10.1.0.0/16" },
      { podPrefixes: "10.1.255.0/24" },
      'podPrefixes[0] is "10.1.255.0/24", which overlaps "10.1.0.0/16" of node a',
    ],
    [
      "a pod prefix around",
      { podPrefixes: "10.1.3.0/24" },
      { podPrefixes: "10.1.0.0/16" },
      'podPrefixes[0] is "10.1.0.0/16", which overlaps "10.1.3.0/24" of node a',
    ],
    [
      "IPv6 pod prefixes",
      { podPrefixes: "fd00::/48" },
      { podPrefixes: "fd00:0:0:8::/64" },
      'podPrefixes[0] is "fd00:0:0:8::/64", which overlaps "fd00::/48" of node a',
    ],
    [
      "the same key",
      { wireguard: { publicKey: wireguardKey(1) } },
      { wireguard: { publicKey: wireguardKey(1) } },
      "wireguard.publicKey is the same as that of node a",
    ],
    [
      "a key that is the next one",
      { wireguard: { publicKey: wireguardKey(1), nextPublicKey: wireguardKey(2) } },
      { wireguard: { publicKey: wireguardKey(2) } },
      "wireguard.publicKey is the same as that of node a",
    ],
    [
      "the same next key",
      { wireguard: { publicKey: wireguardKey(1), nextPublicKey: wireguardKey(2) } },
      { wireguard: { publicKey: wireguardKey(3), nextPublicKey: wireguardKey(2) } },
      "wireguard.nextPublicKey is the same as that of node a",
    ],
    [
      "the same identity, capitals aside",
      { ipsec: { identity: "N@x" } },
      { ipsec: { identity: "n@X" } },
      'ipsec.identity is "n@X", which node a has as well',
    ],
    [
      "the same private address and port",
      { underlay: { private: "10.9.0.1" } },
      { underlay: { private: ["10.9.0.2", "10.9.0.1"] } },
      'underlay.private[1] is "10.9.0.1" with UDP port 51820, which node a has as well',
    ],
    [
      "the same public address with IPsec",
      { underlay: { public: "192.0.2.1" }, ipsec: {} },
      { underlay: { public: "192.0.2.1" }, ipsec: {}, wireguard: { publicKey: wireguardKey(5), port: 1 } },
      'underlay.public[0] is "192.0.2.1" with UDP port 4500, which node a has as well',
    ],
    [
      "the same public name",
      { underlay: { public: "x.example" } },
      { underlay: { public: "X.example" } },
      'underlay.public[0] is "x.example" with UDP port 51820, which node a has as well',
    ],
  ])("by %s, the one whose name is larger is refused, and both are named", (_, one, other, what) => {
    const [a, b] = [node("a", one), node("b", other)];
    for (const both of [
      [a, b],
      [b, a],
    ]) {
      const { nodes, refusals } = together(both);
      expect(nodes).toEqual([a]);
      expect(refusals).toMatchObject([{ name: "b", what, kept: false, record: b }]);
      expect(refusals[0]?.where).toBe(`b/${what.slice(0, what.indexOf(" "))}`);
      expect(refusals[0]?.remedy).not.toBe("");
    }
  });

  test.each<[string, Raw, Raw]>([
    ["other prefixes of one network", { podPrefixes: "10.1.0.0/25" }, { podPrefixes: "10.1.0.128/25" }],
    [
      "the same numbers in the other family",
      { podPrefixes: "10.1.0.0/24" },
      { podPrefixes: "::a01:0/120".replace("::", "fd00::") },
    ],
    [
      "one private address in two sites",
      { underlay: { private: "10.9.0.1" }, site: "x" },
      { underlay: { private: "10.9.0.1" }, site: "y" },
    ],
    [
      "one public address with two ports",
      { underlay: { public: "192.0.2.1" } },
      { underlay: { public: "192.0.2.1" }, wireguard: { publicKey: wireguardKey(7), port: 51_821 } },
    ],
  ])("none is refused by %s", (_, one, other) => {
    expect(together([node("a", one), node("b", other)])).toMatchObject({
      nodes: [{ name: "a" }, { name: "b" }],
      refusals: [],
    });
  });

  test("the one that took its prefixes earlier stays; one without a time was there before all", () => {
    const early = { podPrefixes: "10.1.0.0/24", since: "2026-01-01T00:00:00Z" };
    const later = { podPrefixes: "10.1.0.0/24", since: "2026-01-02T00:00:00Z" };
    const never = { podPrefixes: "10.1.0.0/24" };
    expect(namesOf(together([node("a", later), node("b", early)]))).toEqual(["b"]);
    expect(namesOf(together([node("a", early), node("b", never)]))).toEqual(["b"]);
    expect(namesOf(together([node("a", early), node("b", early)]))).toEqual(["a"]);
  });

  test("the one that was accepted before stays, whatever the names and times", () => {
    const b = node("b", { podPrefixes: "10.1.0.0/24", since: "2026-01-02T00:00:00Z" });
    const a = node("a", { podPrefixes: "10.1.0.0/24" });
    expect(namesOf(together([a, b], [b]))).toEqual(["b"]);
  });

  test("what a node had before it keeps, also when its record changed otherwise", () => {
    const before = node("b", { podPrefixes: ["10.1.0.0/16"] });
    const changed = node("b", { podPrefixes: ["10.1.0.0/17", "10.2.0.0/24"], keepalive: 25 });
    expect(together([node("a", { podPrefixes: "10.1.4.0/24" }), changed], [before]).nodes).toEqual([changed]);
  });

  test("a node whose new record is refused stays as it was", () => {
    const [a, before] = [node("a", { podPrefixes: "10.1.0.0/24" }), node("b", { podPrefixes: "10.2.0.0/24" })];
    const changed = node("b", { podPrefixes: "10.1.0.0/24" });
    const { nodes, refusals } = together([a, changed], [a, before]);
    expect(nodes).toEqual([a, before]);
    expect(refusals).toMatchObject([{ name: "b", kept: true, record: changed }]);
  });

  test("who takes what a refused node was about to leave is refused as well", () => {
    const [a, b] = [node("a", { podPrefixes: "10.1.0.0/24" }), node("b", { podPrefixes: "10.2.0.0/24" })];
    const moving = node("b", { podPrefixes: "10.1.0.0/24" });
    const greedy = node("aa".slice(1), {
      name: "aa",
      podPrefixes: "10.2.0.0/24",
      wireguard: { publicKey: wireguardKey(9) },
      underlay: {},
    });
    const { nodes, refusals } = together([a, moving, greedy], [a, b]);
    expect(nodes).toEqual([a, b]);
    expect(refusals.map(({ name }) => name)).toEqual(["aa", "b"]);
  });

  test("two that exchange what they have both may", () => {
    const before = [node("a", { podPrefixes: "10.1.0.0/24" }), node("b", { podPrefixes: "10.2.0.0/24" })];
    const after = [node("a", { podPrefixes: "10.2.0.0/24" }), node("b", { podPrefixes: "10.1.0.0/24" })];
    expect(together(after, before)).toEqual({ nodes: after, refusals: [] });
  });

  test("who gave way to one that gave way after that is there all the same", () => {
    const key = { wireguard: { publicKey: wireguardKey(1) } };
    const a = node("a", { podPrefixes: "10.1.0.0/16" });
    const b = node("b", { podPrefixes: "10.1.7.0/24", ...key });
    const c = node("c", key);
    const { nodes, refusals } = together([a, b, c]);
    expect(nodes).toEqual([a, c]);
    expect(refusals.map(({ name }) => name)).toEqual(["b"]);
    const before = node("c", { keepalive: 25 });
    expect(together([a, b, c], [before]).nodes).toEqual([a, c]);
  });

  test("who gives way only to one that gives way itself stays", () => {
    const c = node("c", { podPrefixes: ["10.3.0.0/24"] });
    const b = node("b", { podPrefixes: ["10.2.0.0/24", "10.3.0.0/24"] });
    const a = node("a", { podPrefixes: ["10.1.0.0/24", "10.2.0.0/24"] });
    expect(namesOf(together([a, b, c]))).toEqual(["a", "c"]);
  });
});

test("the time that it takes grows with the number of nodes, not with its square, also when all want the same", () => {
  const crowded = (count: number) =>
    Array.from({ length: count }, (_, number) =>
      record(number, { podPrefixes: ["10.0.0.0/8", `fd00:${number.toString(16)}::/32`] }),
    );
  const took = (count: number) => {
    const records = crowded(count);
    const start = performance.now();
    expect(together(records).nodes).toHaveLength(1);
    return performance.now() - start;
  };
  took(500);
  const [few, many] = [Math.min(took(200), took(200), took(200)), Math.min(took(2000), took(2000))];
  expect(many / few).toBeLessThan(60);
});
