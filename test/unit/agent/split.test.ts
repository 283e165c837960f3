import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { guardedMeanwhile, splitPlan } from "../../../src/agent/split.ts";
import type { MeshPlan } from "../../../src/mesh/mesh-plan.ts";
import { aggregate } from "../../../src/net/aggregate.ts";
import { overlaps, type Prefix } from "../../../src/net/prefix.ts";
import { subtract } from "../../../src/net/subtract.ts";
import type { Driver } from "../../../src/registry/node-record.ts";
import { address, endpoint, peer, prefix } from "./support.ts";

const OWN = prefix("10.101.1.0/24");
const plan = (peers: MeshPlan["peers"]): MeshPlan => ({
  name: "n1",
  peers,
  guarded: subtract([prefix("10.101.0.0/16")], [OWN]),
  podPrefixes: [OWN],
  forwards: false,
  unreachable: [],
});
const options = {
  drivers: ["wireguard", "ipsec"] as const,
  addresses: [address("10.101.1.1")],
  endpointOf: () => undefined,
  isLost: () => false,
};
const BOTH: readonly [Driver, ...Driver[]] = ["wireguard", "ipsec"];

describe("a plan that is split", () => {
  test("has each peer with its own driver, and what is behind it guarded by that", () => {
    const split = splitPlan(plan([peer(2), peer(3, { driver: "ipsec" })]), { ...options, drivers: BOTH });
    expect(split.get("wireguard")?.tunnels.map(({ peer: { name } }) => name)).toEqual(["n2"]);
    expect(split.get("ipsec")?.tunnels.map(({ peer: { name } }) => name)).toEqual(["n3"]);
    expect(split.get("ipsec")?.guarded).toEqual([prefix("10.101.3.0/24")]);
    expect(split.get("wireguard")?.guarded).not.toContain(prefix("10.101.3.0/24"));
  });

  test("does not need a driver without peers, but for the first, which guards the rest", () => {
    const split = splitPlan(plan([]), { ...options, drivers: BOTH });
    expect([...split.keys()]).toEqual(["wireguard"]);
    expect(split.get("wireguard")?.guarded).toEqual(plan([]).guarded);
  });

  test("gives each tunnel its endpoint, and every driver what is the node's own", () => {
    const chosen = endpoint("192.0.2.2:51820");
    const split = splitPlan(plan([peer(2), peer(3)]), {
      ...options,
      drivers: BOTH,
      mtu: 1400,
      endpointOf: ({ name }) => (name === "n2" ? chosen : undefined),
      isLost: ({ name }) => name === "n3",
    });
    expect(split.get("wireguard")).toMatchObject({ podPrefixes: [OWN], addresses: options.addresses, mtu: 1400 });
    expect(split.get("wireguard")?.tunnels).toEqual([
      { peer: peer(2), endpoint: chosen },
      { peer: peer(3), isLost: true },
    ]);
  });

  test("guards all that the plan guards, once", () => {
    const peers = fc
      .uniqueArray(fc.integer({ min: 2, max: 250 }), { maxLength: 20 })
      .chain((indexes) =>
        fc.tuple(...indexes.map((index) => fc.boolean().map((ipsec) => peer(index, ipsec ? { driver: "ipsec" } : {})))),
      );
    // Also where the plan has peers of a driver that this node does not have any more.
    const orders = fc.constantFrom<readonly [Driver, ...Driver[]]>(
      BOTH,
      ["ipsec", "wireguard"],
      ["wireguard"],
      ["ipsec"],
    );
    fc.assert(
      fc.property(peers, orders, (some, drivers) => {
        const whole = plan(some);
        const parts = [...splitPlan(whole, { ...options, drivers }).values()].map(({ guarded }) => guarded);
        expect(aggregate(parts.flat())).toEqual(aggregate(whole.guarded));
        const [one = [], other = []] = parts;
        expect(one.some((inner) => other.some((outer) => overlaps(inner, outer)))).toBe(false);
      }),
    );
  });
});

describe("on the way from one split to the next", () => {
  const before = new Map<Driver, readonly Prefix[]>([
    ["wireguard", [prefix("10.101.2.0/24"), prefix("10.101.9.0/24")]],
    ["ipsec", [prefix("10.101.3.0/24")]],
  ]);
  const wanted = splitPlan(plan([peer(2, { driver: "ipsec" }), peer(3, { driver: "ipsec" })]), {
    ...options,
    drivers: BOTH,
  });

  test("a driver goes on to guard what another one takes over", () => {
    const meanwhile = guardedMeanwhile("wireguard", before, wanted);
    expect(meanwhile).toEqual(aggregate([...(wanted.get("wireguard")?.guarded ?? []), prefix("10.101.2.0/24")]));
  });

  test("nothing is to be done when nothing is taken over", () => {
    expect(guardedMeanwhile("ipsec", before, wanted)).toBeUndefined();
    expect(guardedMeanwhile("wireguard", new Map(), wanted)).toBeUndefined();
  });

  test("a driver that is not needed any more guards until the others do", () => {
    const without = splitPlan(plan([peer(3)]), { ...options, drivers: BOTH });
    expect(guardedMeanwhile("ipsec", before, without)).toEqual([prefix("10.101.3.0/24")]);
  });
});
