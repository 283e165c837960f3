import { describe, expect, test } from "vitest";
import type { WantedTunnel, WantedTunnels } from "../../../../src/agent/driver.ts";
import { fittingTunnels, type MeshFacts } from "../../../../src/agent/wireguard/fitting.ts";
import type { PlannedPeer } from "../../../../src/mesh/mesh-plan.ts";
import { endpoint, prefix, publicKey } from "./support.ts";

function peer(name: string, key: number, prefixes: readonly string[]): PlannedPeer {
  return {
    name,
    driver: "wireguard",
    candidates: [],
    prefixes: prefixes.map(prefix),
    localPrefixes: [],
    probes: [],
    initiates: true,
    keepalive: 25,
    wireguard: { publicKey: publicKey(key), port: 51_820 },
  };
}

function wanted(tunnels: readonly WantedTunnel[], guarded = ["10.1.0.0/16"]): WantedTunnels {
  return { tunnels, guarded: guarded.map(prefix), podPrefixes: [], addresses: [] };
}

const facts: MeshFacts = { ownPublicKey: publicKey(1), addresses: [], meshes: [], routes: [] };
const tunnel = { peer: peer("n2", 2, ["10.1.2.0/24"]), endpoint: endpoint("192.0.2.2", 51_820) };
const other = { peer: peer("n3", 3, ["10.1.3.0/24"]), endpoint: endpoint("192.0.2.3", 51_820) };

describe("what of a plan fits the node", () => {
  test("is all of it, where nothing is in the way", () => {
    const { peers, guarded, obstacles } = fittingTunnels(wanted([tunnel]), facts);
    expect(peers).toEqual([
      {
        name: "n2",
        publicKey: publicKey(2),
        port: 51_820,
        endpoint: tunnel.endpoint,
        prefixes: [prefix("10.1.2.0/24")],
        persistentKeepalive: 25,
      },
    ]);
    expect(guarded).toEqual([prefix("10.1.0.0/16")]);
    expect(obstacles).toEqual([]);
  });

  test("is not a prefix that holds an address of this node, which would cut it off; the other peers are as they are", () => {
    const addresses = [{ dev: "eth0", address: endpoint("10.1.2.7", 1).address, prefix: prefix("10.1.2.0/25") }];
    const { peers, guarded, obstacles } = fittingTunnels(wanted([tunnel, other]), { ...facts, addresses });
    expect(peers.map(({ name, prefixes }) => [name, prefixes])).toEqual([
      ["n2", []],
      ["n3", ["10.1.3.0/24"]],
    ]);
    expect(guarded).not.toContain("10.1.0.0/16");
    expect(guarded).toContain("10.1.2.128/25");
    expect(guarded).not.toContain("10.1.2.0/25");
    expect(obstacles).toEqual(["10.1.2.0/24 of n2 holds 10.1.2.7 of this node's eth0; give n2 other pod prefixes"]);
  });

  test("leaves out of the guard a network of the node's that is in the mesh and nobody's", () => {
    const addresses = [{ dev: "eth1", address: endpoint("10.1.9.7", 1).address, prefix: prefix("10.1.9.0/24") }];
    const { peers, guarded, obstacles } = fittingTunnels(wanted([tunnel]), { ...facts, addresses });
    expect(peers[0]?.prefixes).toEqual(["10.1.2.0/24"]);
    expect(guarded).not.toContain("10.1.9.0/24");
    expect(obstacles).toEqual(["the mesh's network holds 10.1.9.0/24 of this node's eth1; give pods another network"]);
  });

  test("is a wide network of the node's that the mesh is in: routes are more specific", () => {
    const addresses = [{ dev: "eth0", address: endpoint("10.20.0.1", 1).address, prefix: prefix("10.0.0.0/8") }];
    const { peers, guarded, obstacles } = fittingTunnels(wanted([tunnel]), { ...facts, addresses });
    expect(peers[0]?.prefixes).toEqual(["10.1.2.0/24"]);
    expect(guarded).toEqual(["10.1.0.0/16"]);
    expect(obstacles).toEqual([]);
  });

  test.each([
    ["10.1.7.7", /^the underlay address of n2 is 10\.1\.7\.7, which is in the mesh \(10\.1\.0\.0\/16\)/],
    ["fe80::1", /^the underlay address of n2 is fe80::1, to which nothing can be sent/],
  ])("is no endpoint %s", (address, text) => {
    const { peers, obstacles } = fittingTunnels(wanted([{ ...tunnel, endpoint: endpoint(address, 51_820) }]), facts);
    expect(peers[0]).not.toHaveProperty("endpoint");
    expect(obstacles).toEqual([expect.stringMatching(text)]);
  });

  test("is no peer with this node's own key", () => {
    const { peers, obstacles } = fittingTunnels(wanted([{ peer: peer("n9", 1, ["10.1.9.0/24"]) }, other]), facts);
    expect(peers.map(({ name }) => name)).toEqual(["n3"]);
    expect(obstacles).toEqual([expect.stringMatching(/^the key of n9 is .* the key of this device itself/)]);
  });

  test("is told of routes of others and of other devices, which it does not change", () => {
    const routes = [{ dst: prefix("10.1.2.128/25"), text: "10.1.2.128/25 dev eth1" }];
    const meshes = [{ dev: "wg7", network: "other", prefix: prefix("10.1.3.0/24") }];
    const { peers, obstacles } = fittingTunnels(wanted([tunnel, other]), { ...facts, routes, meshes });
    expect(peers.map(({ prefixes }) => prefixes)).toEqual([["10.1.2.0/24"], ["10.1.3.0/24"]]);
    expect(obstacles).toHaveLength(2);
    expect(obstacles.join()).toMatch(/a prefix of n3 is .*wg7.*a prefix of n2 is .*10\.1\.2\.128\/25 dev eth1/);
  });

  test("carries a peer's next key, and that nothing comes from it", () => {
    const changing = { ...tunnel.peer, wireguard: { publicKey: publicKey(2), port: 7, nextPublicKey: publicKey(12) } };
    const { peers } = fittingTunnels(wanted([{ peer: changing, isLost: true }]), facts);
    expect(peers[0]).toMatchObject({ nextPublicKey: publicKey(12), port: 7, isLost: true });
  });
});
