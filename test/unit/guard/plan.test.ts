import { describe, expect, test } from "vitest";
import { type GuardRequest, planGuard } from "../../../src/guard/plan.ts";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

const POD: GuardRequest = {
  name: "eth0",
  virtualSubnets: [prefix("10.173.0.0/16"), prefix("fd00:173::/64")],
  excluded: [prefix("10.9.0.0/24")],
  dataPlane: "userspace",
  refuse: "blackhole",
};

const NOT_THE_TUNNEL = [
  { device: "iifname", isNot: "lo" },
  { device: "iifname", isNot: "ipsec*" },
];

describe("the guard of a pod", () => {
  test("refuses each virtual subnet right behind charon's table", () => {
    const { rules } = planGuard(POD);
    expect(rules.map(({ family, priority, dst, action }) => [family, priority, dst, action])).toEqual([
      [4, 221, "10.173.0.0/16", "blackhole"],
      [6, 221, "fd00:173::/64", "blackhole"],
    ]);
  });

  test("has an exclusion only for what a virtual subnet would swallow", () => {
    const { rules, tables } = planGuard({
      ...POD,
      virtualSubnets: [prefix("10.0.0.0/8")],
      excluded: [prefix("10.9.0.0/24"), prefix("192.168.0.0/16"), prefix("10.9.0.0/24")],
    });
    expect(rules.map(({ priority, dst, action }) => [priority, dst, action])).toEqual([
      [210, "10.9.0.0/24", "lookup"],
      [221, "10.0.0.0/8", "blackhole"],
    ]);
    expect(tables[0]?.chains[0]?.rules).toEqual([
      {
        matches: [
          ...NOT_THE_TUNNEL,
          { address: "saddr", in: "10.0.0.0/8" },
          { address: "saddr", notIn: ["10.9.0.0/24"] },
        ],
        action: "drop",
      },
    ]);
  });

  test("with user-space ESP filters both ways what is not the tunnel's device, and needs no policy", () => {
    const { tables, policies } = planGuard(POD);
    expect(policies).toEqual([]);
    expect(tables).toHaveLength(1);
    const [incoming, outgoing] = tables[0]?.chains ?? [];
    expect(incoming?.hook).toBe("prerouting");
    expect(incoming?.rules[1]).toEqual({
      matches: [...NOT_THE_TUNNEL, { address: "saddr", in: "fd00:173::/64" }, { address: "saddr", notIn: [] }],
      action: "drop",
    });
    expect(outgoing?.hook).toBe("postrouting");
    expect(outgoing?.rules[0]).toEqual({
      matches: [
        { device: "oifname", isNot: "lo" },
        { device: "oifname", isNot: "ipsec*" },
        { address: "daddr", in: "10.173.0.0/16" },
        { address: "daddr", notIn: [] },
      ],
      action: "drop",
    });
  });

  test("with kernel ESP blocks by policies that never have the selector of one of charon's", () => {
    const { policies } = planGuard({ ...POD, dataPlane: "kernel" });
    expect(policies).toHaveLength(6);
    for (const { direction, src, dst, action } of policies) {
      expect(action).toBe("block");
      expect([direction === "out" ? src : dst]).toEqual([src.includes(":") ? "::/0" : "0.0.0.0/0"]);
    }
  });

  test("with kernel ESP filters both ways what IPsec does not carry: decrypted packets come by the link, too", () => {
    const { tables } = planGuard({ ...POD, dataPlane: "kernel" });
    const [incoming, outgoing] = tables[0]?.chains ?? [];
    expect(incoming?.rules[0]?.matches.slice(0, 2)).toEqual([{ device: "iifname", isNot: "lo" }, { plain: "in" }]);
    expect(outgoing?.rules[1]?.matches.slice(0, 2)).toEqual([{ device: "oifname", isNot: "lo" }, { plain: "out" }]);
  });

  test("with kernel ESP lets an exclusion pass before it blocks", () => {
    const { policies } = planGuard({ ...POD, dataPlane: "kernel", virtualSubnets: [prefix("10.0.0.0/8")] });
    const priorities = (wanted: string) => policies.filter(({ action }) => action === wanted).map((p) => p.priority);
    expect(priorities("allow")).toHaveLength(3);
    expect(Math.max(...priorities("allow"))).toBeLessThan(Math.min(...priorities("block")));
  });

  test("fails closed for a full tunnel as well: by a rule, whatever the main table's default route is", () => {
    const { rules } = planGuard({ ...POD, virtualSubnets: [prefix("0.0.0.0/0")] });
    expect(rules).toContainEqual(expect.objectContaining({ priority: 221, dst: "0.0.0.0/0", action: "blackhole" }));
    expect(rules).toContainEqual(expect.objectContaining({ priority: 210, dst: "10.9.0.0/24", action: "lookup" }));
  });
});

test("a hub's guard tells the sender that a virtual IP is not online", () => {
  expect(planGuard({ ...POD, refuse: "unreachable" }).rules.every(({ action }) => action === "unreachable")).toBe(true);
});
