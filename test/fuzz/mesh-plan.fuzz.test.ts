import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { diffPlans } from "../../src/mesh/diff.ts";
import type { MeshPlan, PlanOptions, Topology } from "../../src/mesh/mesh-plan.ts";
import { plan } from "../../src/mesh/plan.ts";
import { aggregate } from "../../src/net/aggregate.ts";
import { contains, overlaps, type Prefix, parsePrefix } from "../../src/net/prefix.ts";
import { subtract } from "../../src/net/subtract.ts";
import type { NodeRecord } from "../../src/registry/node-record.ts";
import { anyNodes, changedRecord, type Journey, journey, someOf, soundNodes } from "./support/mesh.ts";

const RUNS = { numRuns: 200 };

const topology = fc.constantFrom<Topology>("full", "site");

const NETWORK = ["10.101.0.0/16", "10.102.0.0/16", "fd00:101::/48"].map((text) => {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
});

/** Nodes, and whom all of them hold for dead. */
const oneView = (nodes: fc.Arbitrary<NodeRecord[]>) =>
  nodes.chain((all) => fc.record({ nodes: fc.constant(all), down: someOf(all), topology }));

/** Nodes, and whom each of them holds for dead. */
const manyViews = anyNodes.chain((nodes) =>
  fc.record({ nodes: fc.constant(nodes), downs: fc.tuple(...nodes.map(() => someOf(nodes))), topology }),
);

function plansOf(nodes: readonly NodeRecord[], options: PlanOptions): ReadonlyMap<string, MeshPlan> {
  return new Map(nodes.map(({ name }) => [name, plan(nodes, name, options)]));
}

/** All pairs of pods' prefixes of two nodes. */
function* packets(nodes: readonly NodeRecord[]) {
  for (const from of nodes)
    for (const to of nodes)
      if (from !== to)
        for (const source of from.podPrefixes)
          for (const destination of to.podPrefixes) yield { from, to, source, destination };
}

function requireSound(own: MeshPlan, nodes: readonly NodeRecord[], network: readonly Prefix[]): void {
  const mine = nodes.filter(({ name }) => name === own.name).flatMap(({ podPrefixes }) => podPrefixes);
  const foreign = nodes.filter(({ name }) => name !== own.name).flatMap(({ podPrefixes }) => podPrefixes);
  // What a tunnel carries is owned once, and is nobody's here.
  const routed = own.peers.flatMap(({ prefixes }) => prefixes);
  expect(new Set(routed).size).toBe(routed.length);
  expect(routed.filter((one) => !foreign.includes(one))).toEqual([]);
  // What is guarded is all that is others', and nothing of one's own.
  expect(subtract(foreign, own.guarded)).toEqual([]);
  expect(subtract(subtract(network, mine), own.guarded)).toEqual([]);
  expect(own.guarded.filter((one) => mine.some((each) => overlaps(one, each)))).toEqual([]);
  expect(aggregate(own.guarded)).toEqual(own.guarded);
  // Each other node is a peer, behind one, or told to be unreachable: and only one of these.
  const lost = own.unreachable.map(({ name }) => name);
  for (const node of nodes) {
    if (node.name === own.name) continue;
    const isLost = lost.includes(node.name);
    if (isLost) expect(own.peers.map(({ name }) => name)).not.toContain(node.name);
    expect(node.podPrefixes.filter((one) => routed.includes(one))).toEqual(isLost ? [] : node.podPrefixes);
  }
}

describe("all nodes hold the same ones for dead", () => {
  test("each plan is sound: nothing is owned twice, all of the others' is guarded, nothing of its own", () => {
    fc.assert(
      fc.property(oneView(anyNodes), fc.boolean(), ({ nodes, ...options }, whole) => {
        const network = whole ? NETWORK : [];
        for (const own of plansOf(nodes, { ...options, network }).values()) requireSound(own, nodes, network);
      }),
      RUNS,
    );
  });

  test("both sides of a tunnel plan it, with one driver, one that starts, and prefixes that match", () => {
    fc.assert(
      fc.property(oneView(anyNodes), ({ nodes, ...options }) => {
        const plans = plansOf(nodes, options);
        for (const own of plans.values()) {
          for (const peer of own.peers) {
            const back = plans.get(peer.name)?.peers.find(({ name }) => name === own.name);
            if (back === undefined) throw new Error(`${peer.name} has no tunnel to ${own.name}`);
            expect(back.driver).toBe(peer.driver);
            expect(peer[peer.driver]).toBeDefined();
            expect(back.initiates).toBe(!peer.initiates);
            expect(peer.initiates ? peer.candidates : back.candidates).not.toEqual([]);
            expect(back.prefixes).toEqual(peer.localPrefixes);
            expect(own.podPrefixes.filter((one) => !back.prefixes.includes(one))).toEqual([]);
          }
        }
      }),
      RUNS,
    );
  });

  test("a node is unreachable from both sides or from neither", () => {
    fc.assert(
      fc.property(oneView(anyNodes), ({ nodes, ...options }) => {
        const plans = plansOf(nodes, options);
        const lost = (from: string, to: string) => plans.get(from)?.unreachable.some(({ name }) => name === to);
        for (const one of nodes)
          for (const other of nodes) expect(lost(one.name, other.name)).toBe(lost(other.name, one.name));
      }),
      RUNS,
    );
  });

  test("a packet between any two pods arrives, in three tunnels at most, and each hop accepts it; or its node is unreachable", () => {
    const seen = new Map<string, number>();
    fc.assert(
      fc.property(oneView(anyNodes), ({ nodes, ...options }) => {
        const plans = plansOf(nodes, options);
        for (const { from, to, source, destination } of packets(nodes)) {
          const isLost = plans.get(from.name)?.unreachable.some(({ name }) => name === to.name);
          const { end, by } = journey(plans, source, destination, from.name);
          expect({ end, by }).toEqual({ end: isLost ? "no route" : "arrived", by });
          if (end === "arrived") expect(by.at(-1)).toBe(to.name);
          const kind = `${end} ${by.length - 1}`;
          seen.set(kind, (seen.get(kind) ?? 0) + 1);
        }
      }),
      RUNS,
    );
    expect([...seen.keys()].toSorted()).toEqual(["arrived 1", "arrived 2", "arrived 3", "no route 0"]);
  });

  test("an answer goes the way back that the question came", () => {
    fc.assert(
      fc.property(oneView(anyNodes), ({ nodes, ...options }) => {
        const plans = plansOf(nodes, options);
        for (const { from, to, source, destination } of packets(nodes)) {
          const there = journey(plans, source, destination, from.name);
          const back = journey(plans, destination, source, to.name);
          if (there.end === "arrived") expect(back.by).toEqual(there.by.toReversed());
        }
      }),
      RUNS,
    );
  });

  test("where every two nodes can have a tunnel and every site has a gateway, everything is reached, whoever is dead", () => {
    fc.assert(
      fc.property(oneView(soundNodes), ({ nodes, ...options }) => {
        const plans = plansOf(nodes, options);
        for (const { unreachable } of plans.values()) expect(unreachable).toEqual([]);
        for (const { from, source, destination } of packets(nodes)) {
          expect(journey(plans, source, destination, from.name).end).toBe("arrived");
        }
      }),
      RUNS,
    );
  });

  test("no way goes by a dead gateway while its site has another", () => {
    fc.assert(
      fc.property(oneView(soundNodes), ({ nodes, down, topology }) => {
        const plans = plansOf(nodes, { topology, down });
        const byNode = new Map(nodes.map((node) => [node.name, node]));
        for (const { from, source, destination } of packets(nodes)) {
          for (const hop of journey(plans, source, destination, from.name).by.slice(1, -1)) {
            const site = byNode.get(hop)?.site;
            const alive = nodes.some((node) => node.gateway && node.site === site && !down.has(node.name));
            expect(byNode.get(hop)?.gateway).toBe(true);
            expect(down.has(hop) && alive).toBe(false);
          }
        }
      }),
      RUNS,
    );
  });

  test("the order of the records does not matter", () => {
    const shuffled = oneView(anyNodes).chain((view) =>
      fc.record({
        view: fc.constant(view),
        other: fc.shuffledSubarray(view.nodes, { minLength: view.nodes.length, maxLength: view.nodes.length }),
      }),
    );
    fc.assert(
      fc.property(shuffled, ({ view: { nodes, ...options }, other }) => {
        expect(plansOf(other, options)).toEqual(plansOf(nodes, options));
      }),
      RUNS,
    );
  });
});

test("in a full mesh a change to one node changes only what others have of that node", () => {
  const changes = oneView(anyNodes).chain(({ nodes, down }) => {
    const [node] = nodes;
    if (node === undefined) throw new Error("no nodes");
    return fc.record({
      nodes: fc.constant(nodes),
      down: fc.constant(down),
      now: fc.option(changedRecord(node), { nil: undefined }),
    });
  });
  let changed = 0;
  fc.assert(
    fc.property(changes, ({ nodes: [node, ...others], down, now }) => {
      if (node === undefined) return;
      const options = { topology: "full", down } as const;
      for (const { name } of others) {
        const difference = diffPlans(
          plan([node, ...others], name, options),
          plan([...(now === undefined ? [] : [now]), ...others], name, options),
        );
        const { added, removed, unreachable, podPrefixes, forwards } = difference;
        const touched = [
          ...[...added, ...removed, ...unreachable.added, ...unreachable.removed].map((one) => one.name),
          ...difference.changed.map(({ after }) => after.name),
        ];
        expect(touched.filter((one) => one !== node.name)).toEqual([]);
        expect([podPrefixes, forwards]).toEqual([{ added: [], removed: [] }, false]);
        changed += touched.length;
      }
    }),
    RUNS,
  );
  expect(changed).toBeGreaterThan(0);
});

describe("nodes hold different ones for dead", () => {
  test("each plan is sound all the same", () => {
    fc.assert(
      fc.property(manyViews, ({ nodes, downs, topology }) => {
        for (const [index, { name }] of nodes.entries()) {
          requireSound(plan(nodes, name, { topology, down: downs[index] ?? new Set() }), nodes, []);
        }
      }),
      RUNS,
    );
  });

  test("a packet arrives or is refused, it never goes in a circle, and never by a node that its plan does not guard it on", () => {
    const ends = new Set<Journey["end"]>();
    fc.assert(
      fc.property(manyViews, ({ nodes, downs, topology }) => {
        const plans = new Map(
          nodes.map(({ name }, index) => [
            name,
            plan(nodes, name, { topology, down: downs[index] ?? new Set<string>() }),
          ]),
        );
        for (const { from, to, source, destination } of packets(nodes)) {
          const { end, by } = journey(plans, source, destination, from.name);
          ends.add(end);
          expect(end).not.toBe("loop");
          expect(by.length - 1).toBeLessThanOrEqual(3);
          for (const hop of by.filter((name) => name !== to.name)) {
            expect(plans.get(hop)?.guarded.some((one) => contains(one, destination))).toBe(true);
          }
        }
      }),
      RUNS,
    );
    expect(ends).toEqual(new Set(["arrived", "no route", "refused"]));
  });

  test("which tunnels there are, and by which driver, does not depend on who is dead", () => {
    fc.assert(
      fc.property(oneView(soundNodes), ({ nodes, down, topology }) => {
        for (const { name } of nodes) {
          const tunnels = (dead: ReadonlySet<string>) =>
            plan(nodes, name, { topology, down: dead }).peers.map((peer) => [peer.name, peer.driver, peer.initiates]);
          expect(tunnels(down)).toEqual(tunnels(new Set()));
        }
      }),
      RUNS,
    );
  });
});
