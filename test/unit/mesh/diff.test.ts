import { expect, test } from "vitest";
import { diffPlans, isSamePlan } from "../../../src/mesh/diff.ts";
import { differenceLines } from "../../../src/mesh/diff-lines.ts";
import type { MeshPlan, PlannedPeer, PlanOptions } from "../../../src/mesh/mesh-plan.ts";
import { plan } from "../../../src/mesh/plan.ts";
import { address, gateway, ipsecOf, prefix, record, sited, wireguardOf } from "./support/records.ts";

const FULL: PlanOptions = { topology: "full", down: new Set() };

test("the same nodes make no difference and no line", () => {
  const nodes = [record(1), record(2), record(3, { drivers: ["ipsec"] })];
  const difference = diffPlans(plan(nodes, "n1", FULL), plan(structuredClone(nodes).reverse(), "n1", FULL));
  expect(isSamePlan(difference)).toBe(true);
  expect(differenceLines(difference)).toEqual([]);
});

test("a first plan is all new", () => {
  const difference = diffPlans(undefined, plan([record(1), record(2)], "n1", FULL));
  expect(difference).toMatchObject({
    added: [{ name: "n2" }],
    removed: [],
    changed: [],
    guarded: { added: ["10.101.2.0/24"], removed: [] },
    podPrefixes: { added: ["10.101.1.0/24"], removed: [] },
  });
  expect(differenceLines(difference)).toEqual([
    "own pod prefixes +10.101.1.0/24",
    "peer n2 added: wireguard, 10.101.2.0/24",
  ]);
});

test("nodes that come, go and change are told each in one line", () => {
  const before = plan([record(1), record(2), record(3)], "n1", FULL);
  const moved = { ...record(3), podPrefixes: [prefix("10.101.99.0/24")], mtu: 1400, wireguard: wireguardOf(77) };
  const after = plan([record(1), moved, record(4)], "n1", FULL);
  const difference = diffPlans(before, after);
  expect(difference.changed.map(({ after: { name }, fields }) => [name, fields])).toEqual([
    ["n3", ["prefixes", "mtu", "wireguard"]],
  ]);
  expect(differenceLines(difference)).toEqual([
    "peer n4 added: wireguard, 10.101.4.0/24",
    "peer n3 changed: prefixes -10.101.3.0/24 +10.101.99.0/24, mtu none to 1400, wireguard",
    "peer n2 removed",
  ]);
});

test("a gateway that dies moves what was behind it to the next one", () => {
  const nodes = [gateway(1, "a"), gateway(2, "a"), sited(3, "a"), gateway(4, "b"), sited(5, "b")];
  const planned = (...down: string[]) => plan(nodes, "n3", { topology: "site", down: new Set(down) });
  expect(differenceLines(diffPlans(planned(), planned("n1")))).toEqual([
    "peer n1 changed: prefixes -10.101.4.0/24 -10.101.5.0/24",
    "peer n2 changed: prefixes +10.101.4.0/24 +10.101.5.0/24",
  ]);
});

test("nodes that cannot be reached for the same reason share a line; a long list is cut", () => {
  const far = [4, 5, 6, 7, 8].map((number) => sited(number, "b"));
  const options: PlanOptions = { topology: "site", down: new Set() };
  const unreached = plan([gateway(1, "a"), ...far], "n1", options);
  const reached = plan([gateway(1, "a"), ...far.map((node) => ({ ...node, gateway: true }))], "n1", options);
  expect(differenceLines(diffPlans(reached, unreached))).toEqual([
    ...far.map(({ name }) => `peer ${name} removed`),
    'cannot reach n4 n5 n6 and 2 more: site "b" has no gateway; set "gateway: true" on one of its nodes, better on two',
  ]);
  expect(differenceLines(diffPlans(unreached, reached)).at(-1)).toBe("no longer unreachable: n4 n5 n6 and 2 more");
});

test("another reason is a difference", () => {
  const [mesh] = [plan([record(1)], "n1", FULL)];
  const because = (reason: string): MeshPlan => ({ ...mesh, unreachable: [{ name: "n9", reason }] });
  expect(diffPlans(because("one"), because("other")).unreachable).toEqual({
    added: [{ name: "n9", reason: "other" }],
    removed: [],
  });
  expect(isSamePlan(diffPlans(because("one"), because("one")))).toBe(true);
});

const peer: Required<PlannedPeer> = {
  name: "n2",
  driver: "wireguard",
  candidates: [{ host: address("192.0.2.2"), scope: "private" }],
  prefixes: [prefix("10.101.2.0/24")],
  localPrefixes: [prefix("10.101.1.0/24")],
  probes: [address("10.101.2.1"), address("fd00::2")],
  initiates: true,
  keepalive: 25,
  mtu: 1500,
  wireguard: wireguardOf(2),
  ipsec: ipsecOf(2),
};
const other: Required<Omit<PlannedPeer, "name">> = {
  driver: "ipsec",
  candidates: [{ host: address("192.0.2.2"), scope: "public" }],
  prefixes: [],
  localPrefixes: [prefix("10.101.3.0/24")],
  probes: [address("fd00::2"), address("10.101.2.1")],
  initiates: false,
  keepalive: 0,
  mtu: 1499,
  wireguard: { ...wireguardOf(2), nextPublicKey: wireguardOf(3).publicKey },
  ipsec: { identity: "n2.mesh" },
};

test.each(Object.entries(other))("a change of a peer's %s alone is seen, and told", (field, value) => {
  const one = { ...plan([record(1)], "n1", FULL), peers: [peer] };
  const difference = diffPlans(one, { ...one, peers: [{ ...peer, [field]: value }] });
  expect(difference.changed.map(({ fields }) => fields)).toEqual([[field]]);
  expect(isSamePlan(difference)).toBe(false);
  expect(differenceLines(difference)).toEqual([expect.stringMatching(`^peer n2 changed: ${field}( \\S.*)?$`)]);
});

test.each<[keyof MeshPlan, Partial<MeshPlan>]>([
  ["guarded", { guarded: [prefix("10.0.0.0/8")] }],
  ["podPrefixes", { podPrefixes: [] }],
  ["forwards", { forwards: true }],
])("a change of %s alone is a difference", (_field, change) => {
  const one = plan([record(1), record(2)], "n1", FULL);
  expect(isSamePlan(diffPlans(one, { ...one, ...change }))).toBe(false);
  expect(isSamePlan(diffPlans({ ...one, ...change }, one))).toBe(false);
});
