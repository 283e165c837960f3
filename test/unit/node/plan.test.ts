import { describe, expect, test } from "vitest";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";
import { meshRefusals, meshRoutes, meshRules, meshTable } from "../../../src/node/plan.ts";

const GUARDED = [prefix("10.1.2.0/24"), prefix("fd00:1:2::/64")];

describe("the nft table of a mesh", () => {
  test("drops what goes to a guarded prefix, or comes from one, by any device but its own and lo", () => {
    const { chains } = meshTable({ device: "podvpn0", guarded: GUARDED, podSubnets: [] });
    const drops = chains.filter(({ type }) => type === "filter");
    expect(drops.map(({ hook, priority }) => [hook, priority])).toEqual([
      ["prerouting", -300],
      ["postrouting", -300],
    ]);
    expect(drops[0]?.rules[0]).toEqual({
      matches: [
        { device: "iifname", isNot: "podvpn0" },
        { device: "iifname", isNot: "lo" },
        { address: "saddr", inSet: "mesh4" },
      ],
      action: "drop",
    });
    expect(drops[1]?.rules[1]).toEqual({
      matches: [
        { device: "oifname", isNot: "podvpn0" },
        { device: "oifname", isNot: "lo" },
        { address: "daddr", inSet: "mesh6" },
      ],
      action: "drop",
    });
  });

  test("keeps the source of what goes into the device, before srcnat and behind connection tracking", () => {
    const source = meshTable({ device: "podvpn0", guarded: GUARDED, podSubnets: [] }).chains.find(
      ({ type }) => type === "nat",
    );
    expect(source?.hook).toBe("postrouting");
    expect(source?.priority).toBeLessThan(100);
    expect(source?.priority).toBeGreaterThan(-200);
    expect(source?.rules.map(({ action }) => action)).toEqual(["keepSource", "keepSource"]);
  });

  test("keeps the source of what comes from the mesh to the node's pods, too, and of nothing else", () => {
    const podSubnets = [prefix("10.1.1.0/24")];
    const { sets, chains } = meshTable({ device: "podvpn0", guarded: GUARDED, podSubnets });
    expect(sets?.map(({ name, prefixes }) => [name, prefixes])).toContainEqual(["pods4", podSubnets]);
    expect(chains.find(({ type }) => type === "nat")?.rules.at(-1)).toEqual({
      matches: [
        { address: "saddr", inSet: "mesh4" },
        { address: "daddr", inSet: "pods4" },
      ],
      action: "keepSource",
    });
  });

  test("has sets and rules for the families that there are, and no others", () => {
    const { sets, chains } = meshTable({ device: "podvpn0", guarded: [prefix("10.1.2.0/24")], podSubnets: [] });
    expect(sets?.map(({ name }) => name)).toEqual(["mesh4"]);
    expect(chains.map(({ rules }) => rules.length)).toEqual([1, 1, 1]);
    expect(meshTable({ device: "podvpn0", guarded: [], podSubnets: [] }).chains.flatMap(({ rules }) => rules)).toEqual(
      [],
    );
  });

  test("lets the guarded prefixes through other devices of the same mesh, too, and keeps sources there", () => {
    const request = { device: "podvpn0", otherDevices: ["podvpn1"], guarded: GUARDED, podSubnets: [] };
    const { name, chains } = meshTable(request);
    expect(name).toBe(meshTable({ device: "podvpn0", guarded: GUARDED, podSubnets: [] }).name);
    expect(chains[0]?.rules[0]?.matches.slice(0, 3)).toEqual([
      { device: "iifname", isNot: "podvpn0" },
      { device: "iifname", isNot: "podvpn1" },
      { device: "iifname", isNot: "lo" },
    ]);
    const into = chains.find(({ type }) => type === "nat")?.rules.map(({ matches }) => matches[0]);
    expect(into).toEqual(
      ["podvpn0", "podvpn0", "podvpn1", "podvpn1"].map((device) => ({ device: "oifname", is: device })),
    );
  });

  test("of an XFRM interface lets out by the uplink what will be encrypted, and takes nothing more in", () => {
    const device = "podvpn-esp0";
    const [into, out] = meshTable({ device, guarded: GUARDED, podSubnets: [], isXfrm: true }).chains;
    const [otherInto, otherOut] = meshTable({ device, guarded: GUARDED, podSubnets: [] }).chains;
    expect(into).toEqual(otherInto);
    expect(out?.rules).toEqual(
      otherOut?.rules.map((rule) => ({ ...rule, matches: [...rule.matches, { plain: "out" }] })),
    );
  });

  test("has another name for each device", () => {
    const names = ["podvpn0", "podvpn1"].map((device) => meshTable({ device, guarded: [], podSubnets: [] }).name);
    expect(new Set(names).size).toBe(2);
  });
});

describe("the routes of a mesh", () => {
  test("refuse in the main table, and in a table of their own as well", () => {
    const refusals = meshRefusals({ guarded: GUARDED, podSubnets: [], table: 99 });
    expect(refusals.map(({ dst, type, table, metric, protocol }) => [dst, type, table, metric, protocol])).toEqual([
      ["10.1.2.0/24", "unreachable", 254, 4010, 174],
      ["fd00:1:2::/64", "unreachable", 254, 4010, 174],
      ["10.1.2.0/24", "unreachable", 99, 4010, 174],
      ["fd00:1:2::/64", "unreachable", 99, 4010, 174],
    ]);
    expect(meshRefusals({ guarded: GUARDED, podSubnets: [] })).toHaveLength(2);
  });

  test("refuse the node's own pods' subnets in the main table, where the bridge's route wins over it", () => {
    const podSubnets = [prefix("10.1.1.0/24"), ...GUARDED.slice(0, 1)];
    const refusals = meshRefusals({ guarded: GUARDED, podSubnets, table: 99 });
    expect(refusals.filter(({ dst }) => dst === "10.1.1.0/24")).toMatchObject([{ table: 254, metric: 4010 }]);
    expect(refusals).toHaveLength(5); // what is guarded as well is refused once
  });

  test("win over the refusal of the same prefix", () => {
    const [route] = meshRoutes([prefix("10.1.2.0/24")], 7, undefined);
    expect(route).toMatchObject({ dst: "10.1.2.0/24", oif: 7, table: 254, protocol: 174 });
    expect(route?.metric ?? 0).toBeLessThan(4010);
  });
});

describe("the rules of a mesh", () => {
  test("are none without a table of its own", () => {
    expect(meshRules({ guarded: GUARDED, fwmark: 7 })).toEqual([]);
  });

  test("lead both families to the table, and leave out what is marked as encrypted", () => {
    const rules = meshRules({ guarded: GUARDED, table: 99, fwmark: 7 });
    expect(rules.map(({ family, table, fwmark, invert }) => [family, table, fwmark, invert])).toEqual([
      [4, 99, 7, true],
      [6, 99, 7, true],
    ]);
    expect(meshRules({ guarded: GUARDED, table: 99, fwmark: 0 })[0]).not.toHaveProperty("invert");
  });
});

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}
