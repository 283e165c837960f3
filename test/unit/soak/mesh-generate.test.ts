import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { describe as line } from "../../soak/support/event.ts";
import type { MeshEvent, MeshKind } from "../../soak/support/mesh/event.ts";
import { beginning, endOf, generate } from "../../soak/support/mesh/generate.ts";
import { ANCHORS, type NodeIndex, PAIRS, pairsOf } from "../../soak/support/mesh/nodes.ts";
import {
  after,
  agreeing,
  driverOf,
  healing,
  isCalm,
  isWell,
  type MeshState,
  mustTalk,
} from "../../soak/support/mesh/state.ts";
import { MESH_DEFAULTS, soakOptions } from "../../soak/support/options.ts";

const seeds = fc.integer({ min: 0, max: 1_000_000 });

/** Each event with the state that it finds. */
function* told(seed: number, count: number): Generator<{ event: MeshEvent; state: MeshState }> {
  let state = beginning(seed);
  for (const event of generate(seed, count)) {
    yield { event, state };
    state = after(state, event);
  }
}

const isAnchor = (node: NodeIndex) => ANCHORS.some((anchor) => anchor === node);

/** Whether an event can happen at all. Said once more, in other words than the generator's. */
function isPossible(event: MeshEvent, state: MeshState): boolean {
  const lives = (node: NodeIndex) => state.joined.has(node) && !state.dead.has(node);
  switch (event.kind) {
    case "join":
      return !state.joined.has(event.node) && !state.isAway;
    case "leave":
      return lives(event.node) && !isAnchor(event.node) && !state.isAway && state.joined.size > 3;
    case "agent-killed":
    case "agent-ended":
    case "agent-replaced":
      return lives(event.node);
    case "agent-started":
      return state.dead.has(event.node) && state.joined.has(event.node);
    case "daemon-killed":
      return (
        lives(event.node) &&
        pairsOf(event.node).some((pair) => {
          return driverOf(state, pair) === event.driver && pair.nodes.every((node) => state.joined.has(node));
        })
      );
    case "rotate":
      return event.nodes.length > 0 && event.nodes.every(lives) && !state.isAway;
    case "cut":
      return event.pair.nodes.every((node) => state.joined.has(node)) && event.pair.nodes.includes(event.from);
    case "healed":
      return state.cut.has(event.pair);
    case "link-down":
      return state.joined.has(event.node) && !state.unplugged.has(event.node);
    case "link-up":
      return state.unplugged.has(event.node);
    case "moved":
      return lives(event.node) && !state.isAway;
    case "configured":
      return (
        lives(event.node) &&
        !state.isAway &&
        (!("drivers" in event) || !isAnchor(event.node) || event.drivers[0] === "wireguard")
      );
    case "file-damaged":
    case "file-removed":
      return state.joined.has(event.node) && state.dead.has(event.node) === (event.mender === "operator");
    case "file-restored": // its agent may have been faster: then there is nothing to do, whatever has become of the node
      return ![state.damaged, state.removed].some((nodes) => nodes.has(event.node)) || !state.isAway;
    case "registry-away":
      return !state.isAway && state.damaged.size + state.removed.size === 0;
    case "registry-back":
      return state.isAway;
    case "pod-replaced":
      return isAnchor(event.node);
  }
}

describe("the events of a mesh's soak", () => {
  test("are the same for the same seed, and others for another", () => {
    expect(generate(7, 200)).toEqual(generate(7, 200));
    expect(generate(7, 200)).not.toEqual(generate(8, 200));
  });

  test("of a shorter list are the first of a longer one, so that a failure is repeated without what came after", () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 0, max: 60 }), (seed, count) => {
        expect(generate(seed, 60).slice(0, count)).toEqual(generate(seed, count));
      }),
      { numRuns: 50 },
    );
  });

  test("are all possible when they happen", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        for (const { event, state } of told(seed, 150)) expect(isPossible(event, state), line(event)).toBe(true);
      }),
    );
  });

  test("are of all kinds in a list of eighty", () => {
    const all: Record<MeshKind, true> = {
      join: true,
      leave: true,
      "agent-killed": true,
      "agent-ended": true,
      "agent-started": true,
      "agent-replaced": true,
      "daemon-killed": true,
      rotate: true,
      cut: true,
      healed: true,
      "link-down": true,
      "link-up": true,
      moved: true,
      "file-damaged": true,
      "file-removed": true,
      "file-restored": true,
      "registry-away": true,
      "registry-back": true,
      configured: true,
      "pod-replaced": true,
    };
    // What an operator restores has to be damaged while an agent is dead: that does not come in each list.
    const { "file-restored": _, ...surely } = all;
    fc.assert(
      fc.property(seeds, (seed) => {
        const kinds = new Set(generate(seed, 80).map(({ kind }) => kind));
        expect([...Object.keys(surely)].filter((kind) => !kinds.has(kind as MeshKind))).toEqual([]);
      }),
      { numRuns: 50 },
    );
    const many = Array.from({ length: 20 }, (_each, seed) => generate(seed, 80)).flat();
    expect(new Set(many.map(({ kind }) => kind))).toEqual(new Set(Object.keys(all)));
  });

  test("have at most two lasting faults at once, none for more than four events", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const events = generate(seed, 150);
        for (const { state } of told(seed, 150)) expect(healing(state).length).toBeLessThanOrEqual(2);
        for (const [at, event] of events.slice(0, -5).entries()) {
          const end = endOf(event);
          if (end !== undefined) expect(events.slice(at + 1, at + 6).map(line)).toContain(line(end));
        }
      }),
    );
  });

  test("leave the nodes with pods a tunnel that is WireGuard's, always", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        for (const { state } of told(seed, 150))
          expect(PAIRS.slice(0, 1).map((pair) => driverOf(state, pair))).toEqual(["wireguard"]);
      }),
    );
  });

  test("begin with four nodes, of which all that have a driver in common talk", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const state = beginning(seed);
        expect([...state.joined]).toEqual([1, 2, 3, 4]);
        for (const pair of PAIRS) {
          const both = pair.nodes.every((node) => state.joined.has(node));
          expect(mustTalk(state, pair)).toBe(both && driverOf(state, pair) !== undefined);
        }
      }),
    );
  });

  test("that make nodes agree give all pairs a tunnel", () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 0, max: 80 }), (seed, count) => {
        const state = generate(seed, count).reduce(after, beginning(seed));
        const healed = [...healing(state), ...agreeing(state)].reduce(after, state);
        for (const node of healed.joined) expect(isWell(healed, node)).toBe(true);
      }),
    );
  });

  test("that heal end all that lasts", () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 80 }), (seed, count) => {
        const state = generate(seed, count).reduce(after, beginning(seed));
        const healed = healing(state).reduce(after, state);
        expect([isCalm(healed), healed.stale.size]).toEqual([true, 0]);
      }),
    );
  });
});

test("the short list that runs by default is as varied as it can be, and has both drivers", () => {
  const { events, seed } = soakOptions({}, MESH_DEFAULTS);
  expect(new Set(generate(seed, events).map(({ kind }) => kind)).size).toBe(events);
  expect(new Set([...beginning(seed).drivers.values()].map((drivers) => drivers[0]))).toEqual(
    new Set(["wireguard", "ipsec"]),
  );
});
