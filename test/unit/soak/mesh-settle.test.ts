import { describe, expect, test } from "vitest";
import type { AgentStatus, PeerStatus } from "../../../src/agent/status.ts";
import { beginning } from "../../soak/support/mesh/generate.ts";
import { NODES, pairOf } from "../../soak/support/mesh/nodes.ts";
import { untruths } from "../../soak/support/mesh/settle.ts";
import { after as following, type MeshState } from "../../soak/support/mesh/state.ts";

const calm: MeshState = { ...beginning(1), drivers: new Map(NODES.map((node) => [node, ["wireguard"]])) };

function peer(index: number, overrides: Partial<PeerStatus> = {}): PeerStatus {
  return { name: `n${index}`, driver: "wireguard", state: "up", since: "", prefixes: [], ...overrides };
}

/** What n1 tells. */
function status(peers: readonly PeerStatus[], overrides: Partial<AgentStatus> = {}): AgentStatus {
  return {
    node: {
      name: "n1",
      version: "",
      pid: 1,
      startedAt: "",
      gateway: false,
      podPrefixes: [],
      addresses: [],
      underlay: { private: [], public: [] },
      publicKeys: {},
    },
    healthy: true,
    ready: true,
    problems: [],
    registry: { where: "", nodes: 4, refusals: [] },
    drivers: [],
    peers,
    unreachable: [],
    ...overrides,
  };
}

describe("what a status has wrong", () => {
  test("is nothing when it tells what is so", () => {
    expect(untruths(calm, 1, status([peer(2), peer(3), peer(4)]))).toEqual([]);
    const cut = following(calm, { kind: "cut", pair: pairOf(1, 2), from: 1, way: "one" });
    expect(untruths(cut, 1, status([peer(2, { state: "down" }), peer(3), peer(4)], { healthy: false }))).toEqual([]);
    const dead = following(calm, { kind: "agent-killed", node: 2 });
    const degraded = peer(2, { state: "degraded", reason: "its node is there, but its agent does not answer" });
    expect(untruths(dead, 1, status([degraded, peer(3), peer(4)], { healthy: false }))).toEqual([]);
    const apart = following(calm, { kind: "configured", node: 4, drivers: ["ipsec"] });
    const unreachable = [{ name: "n4", reason: "no driver in common" }];
    expect(untruths(apart, 1, status([peer(2), peer(3)], { healthy: false, unreachable }))).toEqual([]);
  });

  test("is a peer that is up by another driver, or is missing, or is not there any more", () => {
    const found = untruths(calm, 1, status([peer(2, { driver: "ipsec" }), peer(3), peer(5)]));
    expect(found).toEqual([
      "n1 of n2: up by ipsec instead of up by wireguard",
      "n1 of n4: no peer instead of up by wireguard",
      "n1 of n5: up by wireguard instead of absent",
    ]);
  });

  test("is one that is told to be up while it is cut off, or to be down when only its agent is gone", () => {
    const cut = following(calm, { kind: "link-down", node: 2 });
    expect(untruths(cut, 1, status([peer(2), peer(3), peer(4)], { healthy: false }))).toEqual([
      "n1 of n2: up by wireguard instead of down",
    ]);
    const dead = following(calm, { kind: "agent-killed", node: 2 });
    const down = status([peer(2, { state: "down" }), peer(3), peer(4)], { healthy: false });
    expect(untruths(dead, 1, down)).toEqual(["n1 of n2: down by wireguard instead of without agent"]);
    const both = following(dead, { kind: "cut", pair: pairOf(1, 2), from: 1, way: "one" });
    expect(untruths(both, 1, down)).toEqual([]);
    expect(untruths(both, 1, status([peer(2), peer(3), peer(4)], { healthy: false }))).toEqual([
      "n1 of n2: up by wireguard instead of not up",
    ]);
  });

  test("is that all is well when it is not, or the reverse, and that there is none", () => {
    const peers = [peer(2), peer(3), peer(4)];
    const away = following(calm, { kind: "registry-away", how: "gone" });
    expect(untruths(away, 1, status(peers))).toEqual(["n1 is not well, and tells that it is"]);
    expect(untruths(calm, 1, status(peers, { healthy: false, problems: ["a refusal"] }))).toEqual([
      "n1 is well, and tells a refusal",
    ]);
    expect(untruths(calm, 1, undefined)).toEqual(["n1 has no agent"]);
  });
});
