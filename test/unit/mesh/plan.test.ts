import { describe, expect, test } from "vitest";
import type { MeshPlan, PlanOptions } from "../../../src/mesh/mesh-plan.ts";
import { plan } from "../../../src/mesh/plan.ts";
import type { NodeRecord } from "../../../src/registry/node-record.ts";
import { address, gateway, ipsecOf, prefix, record, sited, wireguardOf } from "./support/records.ts";

const FULL: PlanOptions = { topology: "full", down: new Set() };
const bySite = (...down: string[]): PlanOptions => ({ topology: "site", down: new Set(down) });

/** What leads where: `peer` with its prefixes, as numbers of nodes. */
function shares({ peers }: MeshPlan): Record<string, number[]> {
  return Object.fromEntries(
    peers.map(({ name, prefixes }) => [name, prefixes.map((one) => Number(one.split(".")[2]))]),
  );
}

function locals({ peers }: MeshPlan): Record<string, number[]> {
  return Object.fromEntries(
    peers.map(({ name, localPrefixes }) => [name, localPrefixes.map((one) => Number(one.split(".")[2]))]),
  );
}

describe("a full mesh", () => {
  test("has a tunnel to each other node, with what is there alone", () => {
    const nodes = [record(3, { drivers: ["ipsec", "wireguard"] }), record(1), record(2, { drivers: ["ipsec"] })];
    const three = record(3);
    expect(plan(nodes, "n3", FULL)).toEqual({
      name: "n3",
      peers: [
        {
          name: "n1",
          driver: "wireguard",
          candidates: [{ host: address("192.0.2.1"), scope: "private" }],
          prefixes: [prefix("10.101.1.0/24")],
          localPrefixes: [prefix("10.101.3.0/24")],
          probes: [address("10.101.1.1")],
          initiates: false,
          keepalive: 0,
          wireguard: wireguardOf(1),
        },
        {
          name: "n2",
          driver: "ipsec",
          candidates: [{ host: address("192.0.2.2"), scope: "private" }],
          prefixes: [prefix("10.101.2.0/24")],
          localPrefixes: [prefix("10.101.3.0/24")],
          probes: [address("10.101.2.1")],
          initiates: false,
          keepalive: 0,
          ipsec: ipsecOf(2),
        },
      ],
      guarded: [prefix("10.101.1.0/24"), prefix("10.101.2.0/24")],
      podPrefixes: three.podPrefixes,
      forwards: false,
      unreachable: [],
    });
  });

  test("of one node is empty", () => {
    expect(plan([record(1)], "n1", FULL)).toMatchObject({ peers: [], guarded: [], unreachable: [] });
  });

  test("goes across sites, and gateways forward nothing", () => {
    const nodes = [gateway(1, "a"), sited(2, "a"), gateway(3, "b"), sited(4, "b")];
    expect(shares(plan(nodes, "n2", FULL))).toEqual({ n1: [1], n3: [3], n4: [4] });
    expect(plan(nodes, "n1", FULL).forwards).toBe(false);
    expect(locals(plan(nodes, "n1", FULL))).toEqual({ n2: [1], n3: [1], n4: [1] });
  });

  test("guards the prefixes of a node that cannot be reached, and says why it cannot", () => {
    const result = plan([record(1), record(2, { drivers: ["ipsec"] })], "n1", FULL);
    expect(result.peers).toEqual([]);
    expect(result.guarded).toEqual(["10.101.2.0/24"]);
    expect(result.unreachable).toEqual([{ name: "n2", reason: expect.stringContaining("no driver in common") }]);
  });

  test("guards the network, but for the node's own share", () => {
    const options = { ...FULL, network: [prefix("10.101.0.0/22"), prefix("fd00:101::/62")] };
    const own = { podPrefixes: [prefix("10.101.1.0/24"), prefix("fd00:101::/64")] };
    expect(plan([record(1, own), record(200)], "n1", options).guarded).toEqual([
      "10.101.0.0/24",
      "10.101.2.0/23",
      "10.101.200.0/24",
      "fd00:101:0:1::/64",
      "fd00:101:0:2::/63",
    ]);
  });

  test("keeps up with the own keepalive, and never with the peer's", () => {
    const nodes = [record(1, { keepalive: 17 }), record(2, { keepalive: 99 })];
    expect(plan(nodes, "n1", FULL).peers[0]?.keepalive).toBe(17);
    expect(plan(nodes, "n2", FULL).peers[0]?.keepalive).toBe(99);
  });

  test("a node that its peer cannot start towards keeps the tunnel open even when its record does not ask for it", () => {
    const hidden = (keepalive: number) => sited(1, "a", { keepalive, underlay: record(1).underlay });
    const keepalive = (nodes: NodeRecord[], me: string) => plan(nodes, me, FULL).peers[0]?.keepalive;
    expect(keepalive([hidden(0), sited(2, "b")], "n1")).toBe(25);
    expect(keepalive([hidden(40), sited(2, "b")], "n1")).toBe(40);
    expect(keepalive([hidden(0), sited(2, "b")], "n2")).toBe(0);
  });

  test("a node without a record has no plan", () => {
    expect(() => plan([record(1)], "n2", FULL)).toThrow(/no record of this node, "n2"; let its agent publish one/);
  });
});

describe("by site", () => {
  const nodes = [
    ...[gateway(11, "a"), gateway(12, "a"), sited(13, "a"), sited(14, "a")],
    ...[gateway(21, "b"), gateway(22, "b"), sited(23, "b")],
    sited(33, "c"),
  ];

  test.each<[string, string[], Record<string, number[]>]>([
    ["n13", [], { n11: [11, 21, 22, 23], n12: [12], n14: [14] }],
    ["n13", ["n11"], { n11: [11], n12: [12, 21, 22, 23], n14: [14] }],
    ["n13", ["n11", "n12"], { n11: [11, 21, 22, 23], n12: [12], n14: [14] }],
    ["n11", [], { n12: [12], n13: [13], n14: [14], n21: [21, 23], n22: [22] }],
    ["n12", [], { n11: [11], n13: [13], n14: [14], n21: [21, 23], n22: [22] }],
    ["n12", ["n21"], { n11: [11], n13: [13], n14: [14], n21: [21], n22: [22, 23] }],
    ["n21", [], { n11: [11, 13, 14], n12: [12], n22: [22], n23: [23] }],
    ["n21", ["n11"], { n11: [11], n12: [12, 13, 14], n22: [22], n23: [23] }],
    ["n23", ["n11"], { n21: [11, 12, 13, 14, 21], n22: [22] }],
    ["n33", [], {}],
  ])("%s with %j down has its peers, and behind them the others", (me, down, expected) => {
    expect(shares(plan(nodes, me, bySite(...down)))).toEqual(expected);
  });

  test.each<[string, string[], Record<string, number[]>]>([
    ["n13", [], { n11: [13], n12: [13], n14: [13] }],
    ["n11", [], { n12: [11], n13: [11, 21, 22, 23], n14: [11, 21, 22, 23], n21: [11, 13, 14], n22: [11, 13, 14] }],
    ["n12", [], { n11: [12], n13: [12], n14: [12], n21: [12], n22: [12] }],
    ["n12", ["n11"], { n11: [12], n13: [12, 21, 22, 23], n14: [12, 21, 22, 23], n21: [12, 13, 14], n22: [12, 13, 14] }],
  ])("%s with %j down speaks for itself, and when active for those behind it", (me, down, expected) => {
    expect(locals(plan(nodes, me, bySite(...down)))).toEqual(expected);
  });

  test("a site without a gateway is reached by nobody, and reaches nobody", () => {
    const reason = 'site "c" has no gateway; set "gateway: true" on one of its nodes, better on two';
    for (const me of ["n11", "n13", "n21"]) {
      expect(plan(nodes, me, bySite()).unreachable).toEqual([{ name: "n33", reason }]);
      expect(plan(nodes, me, bySite()).guarded.some((one) => one === "10.101.33.0/24")).toBe(true);
    }
    const alone = plan(nodes, "n33", bySite());
    expect(alone.unreachable).toHaveLength(7);
    expect(new Set(alone.unreachable.map((one) => one.reason))).toEqual(new Set([reason]));
  });

  test("nodes without a site are one site", () => {
    expect(shares(plan([record(1), record(2)], "n1", bySite()))).toEqual({ n2: [2] });
    expect(plan([record(1), gateway(21, "b")], "n1", bySite()).unreachable[0]?.reason).toMatch(
      /^the site without a name/,
    );
  });

  test("gateways forward, whether active or not", () => {
    expect(["n11", "n12", "n13"].map((me) => plan(nodes, me, bySite()).forwards)).toEqual([true, true, false]);
  });

  test("a way that is broken in the middle is none, and the hop is named", () => {
    const broken = [gateway(11, "a"), sited(13, "a"), gateway(21, "b", { drivers: ["ipsec"] }), sited(23, "b")];
    expect(plan(broken, "n13", bySite()).unreachable).toEqual([
      { name: "n21", reason: expect.stringMatching(/^no way by n13 - n11 - n21: no driver in common: n11/) },
      { name: "n23", reason: expect.stringMatching(/^no way by n13 - n11 - n21 - n23: no driver in common: n11/) },
    ]);
    expect(shares(plan(broken, "n13", bySite()))).toEqual({ n11: [11] });
  });

  test("the smallest MTU on the ways through a peer is the peer's", () => {
    const mtus = [
      gateway(11, "a", { mtu: 9000 }),
      sited(13, "a"),
      sited(14, "a", { mtu: 1400 }),
      gateway(21, "b", { mtu: 1492 }),
      sited(23, "b"),
    ];
    const result = Object.fromEntries(plan(mtus, "n13", bySite()).peers.map(({ name, mtu }) => [name, mtu]));
    expect(result).toEqual({ n11: 1492, n14: 1400 });
  });
});
