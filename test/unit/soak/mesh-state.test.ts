import { describe, expect, test } from "vitest";
import type { Driver } from "../../../src/registry/node-record.ts";
import type { MeshEvent } from "../../soak/support/mesh/event.ts";
import { beginning } from "../../soak/support/mesh/generate.ts";
import { NODES, pairOf } from "../../soak/support/mesh/nodes.ts";
import {
  concerned,
  driverOf,
  after as following,
  isWell,
  type MeshState,
  mustTalk,
  sightOf,
  untouched,
} from "../../soak/support/mesh/state.ts";

const WIREGUARD: readonly Driver[] = ["wireguard"];
const calm: MeshState = { ...beginning(1), drivers: new Map(NODES.map((node) => [node, WIREGUARD])) };
const then = (...events: readonly MeshEvent[]) => events.reduce(following, calm);
const names = (pairs: readonly { readonly name: string }[]) => pairs.map(({ name }) => name);

describe("two nodes", () => {
  test("talk by what both want most", () => {
    const by = (one: readonly Driver[], other: readonly Driver[]) =>
      driverOf(
        {
          ...calm,
          drivers: new Map([
            [1, one],
            [2, other],
          ]),
        },
        pairOf(1, 2),
      );
    expect(by(["wireguard"], ["wireguard"])).toBe("wireguard");
    expect(by(["wireguard", "ipsec"], ["ipsec", "wireguard"])).toBe("wireguard");
    expect(by(["ipsec", "wireguard"], ["ipsec", "wireguard"])).toBe("ipsec");
    expect(by(["wireguard", "ipsec"], ["ipsec"])).toBe("ipsec");
    expect(by(["wireguard"], ["ipsec"])).toBeUndefined();
  });

  test("do not talk while one direction is cut, or one has no cable, or has left; each tells of it", () => {
    const cut = then({ kind: "cut", pair: pairOf(1, 2), from: 2, way: "one" });
    expect([mustTalk(cut, pairOf(1, 2)), mustTalk(cut, pairOf(1, 3))]).toEqual([false, true]);
    expect([sightOf(cut, 1, 2), sightOf(cut, 2, 1), sightOf(cut, 3, 1)]).toEqual(["down", "down", "up"]);
    expect([isWell(cut, 1), isWell(cut, 3)]).toEqual([false, true]);
    const unplugged = then({ kind: "link-down", node: 3 });
    expect([sightOf(unplugged, 1, 3), sightOf(unplugged, 3, 1), sightOf(unplugged, 1, 2)]).toEqual([
      "down",
      "down",
      "up",
    ]);
    const left = then({ kind: "leave", node: 4 });
    expect([mustTalk(left, pairOf(1, 4)), sightOf(left, 1, 4), isWell(left, 1)]).toEqual([false, "absent", true]);
  });

  test("go on talking when an agent has died, which the other tells", () => {
    const state = then({ kind: "agent-killed", node: 2 });
    expect(mustTalk(state, pairOf(1, 2))).toBe(true);
    expect(sightOf(state, 1, 2)).toBe("without agent");
    expect([isWell(state, 1), isWell(state, 2)]).toEqual([false, false]);
    expect(isWell(following(state, { kind: "agent-started", node: 2 }), 1)).toBe(true);
  });

  test("promise nothing when one cannot hear what the other has changed, until it can", () => {
    const state = then({ kind: "agent-killed", node: 2 }, { kind: "moved", node: 3, family: 4 });
    expect([mustTalk(state, pairOf(2, 3)), mustTalk(state, pairOf(1, 3))]).toEqual([false, true]);
    expect(sightOf(state, 3, 2)).toBe("anything");
    expect(mustTalk(following(state, { kind: "agent-started", node: 2 }), pairOf(2, 3))).toBe(true);
  });

  test("without a driver in common tell so", () => {
    const state = then({ kind: "configured", node: 4, drivers: ["ipsec"] });
    expect([sightOf(state, 1, 4), isWell(state, 1), mustTalk(state, pairOf(1, 4))]).toEqual([
      "no driver",
      false,
      false,
    ]);
  });
});

describe("a node's file in the registry", () => {
  test("that its agent mends changes nothing", () => {
    expect(then({ kind: "file-damaged", node: 2, how: "half", mender: "agent" })).toEqual(calm);
  });

  test("that nobody mends is told by all, and costs nobody anything; one that is gone makes its node nobody's", () => {
    const dead = then({ kind: "agent-killed", node: 2 });
    const damaged = following(dead, { kind: "file-damaged", node: 2, how: "half", mender: "operator" });
    expect([isWell(damaged, 3), mustTalk(damaged, pairOf(1, 2))]).toEqual([false, true]);
    const removed = following(dead, { kind: "file-removed", node: 2, mender: "operator" });
    expect([sightOf(removed, 1, 2), mustTalk(removed, pairOf(1, 2)), isWell(removed, 1)]).toEqual([
      "anything",
      false,
      undefined,
    ]);
    const restored = following(removed, { kind: "file-restored", node: 2 });
    expect([sightOf(restored, 1, 2), mustTalk(restored, pairOf(1, 2))]).toEqual(["without agent", true]);
  });

  test("counts for nothing as long as the registry is away, and all talk", () => {
    const away = then({ kind: "registry-away", how: "gone" });
    expect([isWell(away, 1), mustTalk(away, pairOf(1, 2)), sightOf(away, 1, 2)]).toEqual([false, true, "up"]);
  });
});

describe("packets are lost", () => {
  test("by nobody when an agent dies or comes back, keys or labels change, or the registry is away", () => {
    const events: readonly MeshEvent[] = [
      { kind: "agent-killed", node: 1 },
      { kind: "agent-replaced", node: 1, signal: "SIGKILL" },
      { kind: "rotate", nodes: [1, 2] },
      { kind: "configured", node: 1, label: "7" },
      { kind: "configured", node: 1, mtu: 1400 },
      { kind: "registry-away", how: "empty" },
      { kind: "file-damaged", node: 1, how: "empty", mender: "agent" },
      { kind: "pod-replaced", node: 1 },
    ];
    for (const event of events) expect(concerned(event), event.kind).toEqual([]);
  });

  test("by the pair alone that is cut, and by the pairs of a node whose daemon dies", () => {
    expect(names(concerned({ kind: "cut", pair: pairOf(1, 2), from: 1, way: "both" }))).toEqual(["n1-n2"]);
    expect(names(concerned({ kind: "daemon-killed", node: 4, driver: "wireguard" }))).toEqual([
      "n1-n4",
      "n2-n4",
      "n3-n4",
      "n4-n5",
    ]);
    expect(names(untouched(calm, { kind: "daemon-killed", node: 4, driver: "wireguard" }))).toEqual([
      "n1-n2",
      "n1-n3",
      "n2-n3",
    ]);
  });
});
