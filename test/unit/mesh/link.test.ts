import { describe, expect, test } from "vitest";
import { candidatesTo } from "../../../src/mesh/candidates.ts";
import { isNoLink, type Link, linkBetween } from "../../../src/mesh/link.ts";
import type { Driver, NodeRecord } from "../../../src/registry/node-record.ts";
import { address, record, sited } from "./support/records.ts";

const link = (own: NodeRecord, peer: NodeRecord): Link => {
  const result = linkBetween(own, peer);
  if (isNoLink(result)) throw new Error(result.reason);
  return result;
};
const hosts = (to: NodeRecord, from: NodeRecord) => candidatesTo(to, from).map(({ host, scope }) => `${scope} ${host}`);
const underlay = (privates: string[], publics: string[] = []): Pick<NodeRecord, "underlay"> => ({
  underlay: {
    private: privates.map(address),
    public: publics.map((host) => (/^[\d.:a-f]+$/.test(host) ? address(host) : host)),
  },
});

describe("driver", () => {
  test.each<[Driver[], Driver[], Driver]>([
    [["wireguard"], ["wireguard"], "wireguard"],
    [["ipsec"], ["ipsec"], "ipsec"],
    [["wireguard", "ipsec"], ["ipsec"], "ipsec"],
    [["ipsec", "wireguard"], ["ipsec", "wireguard"], "ipsec"],
    [["ipsec", "wireguard"], ["wireguard", "ipsec"], "wireguard"],
    [["wireguard", "ipsec"], ["ipsec", "wireguard"], "wireguard"],
  ])("%j and %j make %s, on both sides", (own, peer, driver) => {
    const [one, other] = [record(1, { drivers: own }), record(2, { drivers: peer })];
    expect(link(one, other).driver).toBe(driver);
    expect(link(other, one).driver).toBe(driver);
  });

  test("one without an identity is not offered", () => {
    const { ipsec: _ipsec, ...bare } = record(1, { drivers: ["ipsec", "wireguard"] });
    expect(link(bare, record(2, { drivers: ["ipsec", "wireguard"] })).driver).toBe("wireguard");
  });

  test("none in common is no link, for the same reason on both sides", () => {
    const [one, other] = [record(1), record(2, { drivers: ["ipsec"] })];
    const reason = 'no driver in common: n1 has wireguard, n2 has ipsec; give both one in "drivers"';
    expect(linkBetween(one, other)).toEqual({ reason });
    expect(linkBetween(other, one)).toEqual({ reason });
  });

  test("a node that offers nothing is told so", () => {
    const { wireguard: _wireguard, ...bare } = record(2);
    expect(linkBetween(record(1), bare)).toMatchObject({ reason: expect.stringContaining("n2 has none") });
  });
});

describe("candidates", () => {
  const privates = ["192.0.2.9", "2001:db8::9"];
  const publics = ["198.51.100.9", "gate.example"];

  test("within a site: private ones first, in the record's order", () => {
    const to = record(9, underlay(privates, publics));
    expect(hosts(to, record(1, underlay(["192.0.2.1", "2001:db8::1"])))).toEqual([
      "private 192.0.2.9",
      "private 2001:db8::9",
      "public 198.51.100.9",
      "public gate.example",
    ]);
  });

  test("between sites: public ones first, private ones alone where there are none", () => {
    const from = sited(1, "a", underlay(["192.0.2.1"]));
    expect(hosts(sited(9, "b", underlay(privates, publics)), from)).toEqual([
      "public 198.51.100.9",
      "public gate.example",
      "private 192.0.2.9",
    ]);
    expect(hosts(sited(9, "b", underlay(privates)), from)).toEqual(["private 192.0.2.9"]);
  });

  test("of families that the node has itself, also by its public address; names always", () => {
    const to = record(9, underlay(privates, publics));
    expect(hosts(to, record(1, underlay(["2001:db8::1"])))).toEqual(["private 2001:db8::9", "public gate.example"]);
    expect(hosts(to, record(1, underlay(["2001:db8::1"], ["198.51.100.1"])))).toHaveLength(4);
  });

  test("of all families for a node that has only a name", () => {
    expect(hosts(record(9, underlay(privates)), record(1, underlay([], ["n1.example"])))).toHaveLength(2);
  });

  test("each once, with the scope that comes first", () => {
    const to = record(9, underlay(["192.0.2.9"], ["192.0.2.9", "gate.example", "gate.example"]));
    expect(hosts(to, record(1))).toEqual(["private 192.0.2.9", "public gate.example"]);
  });

  test("never the node's own address, which another site may have as well", () => {
    const [one, other] = [sited(1, "a", underlay(["192.168.1.10"])), sited(2, "b", underlay(["192.168.1.10"]))];
    expect(hosts(other, one)).toEqual([]);
    expect(linkBetween(one, other)).toMatchObject({ reason: expect.stringContaining("neither n1 nor n2") });
  });
});

describe("who starts", () => {
  const initiators = (one: NodeRecord, other: NodeRecord) =>
    [one, other].filter((node) => link(node, node === one ? other : one).initiates).map(({ name }) => name);

  test("the first by name, where each reaches the other as surely", () => {
    expect(initiators(record(1), record(2))).toEqual(["n1"]);
    expect(initiators(sited(2, "a"), sited(1, "b"))).toEqual(["n1"]);
    expect(initiators(sited(1, "a", underlay(["192.0.2.1"])), sited(2, "b", underlay(["192.0.2.2"])))).toEqual(["n1"]);
  });

  test("the one behind a NAT, that is without a public address in another site, and it keeps the way open", () => {
    const [open, hidden] = [sited(1, "a"), sited(2, "b", underlay(["192.0.2.2"]))];
    expect(initiators(open, hidden)).toEqual(["n2"]);
    expect(link(hidden, open).holdsOpen).toBe(true);
    expect(link(open, hidden).holdsOpen).toBe(false);
  });

  test("within a site a node without a public address is as sure as another", () => {
    expect(initiators(sited(1, "a"), sited(2, "a", underlay(["192.0.2.2"])))).toEqual(["n1"]);
  });

  test("the only one that has an address of the other: the other waits, without any", () => {
    const [four, both] = [record(1, underlay(["192.0.2.1"])), record(2, underlay(["2001:db8::2"], ["n2.example"]))];
    expect(link(both, four).candidates).toEqual([]);
    expect(initiators(four, both)).toEqual(["n1"]);
    expect(initiators(record(3, { underlay: four.underlay }), both)).toEqual(["n3"]);
  });

  test("nobody, where neither has an address of the other's family", () => {
    const [four, six] = [record(1, underlay(["192.0.2.1"])), record(2, underlay(["2001:db8::2"]))];
    expect(linkBetween(four, six)).toEqual({
      reason:
        'neither n1 nor n2 has an underlay address that the other can use; add one of the same family, or a public one, to "underlay" of either',
    });
    expect(linkBetween(six, four)).toEqual(linkBetween(four, six));
  });
});
