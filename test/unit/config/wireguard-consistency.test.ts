import { describe, expect, test } from "vitest";
import { type NodeFacts, nodeConflicts } from "../../../src/config/wireguard-node.ts";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";
import { type PublicKey, parsePublicKey } from "../../../src/wireguard/key.ts";
import { ALICE, BOB, issuesOf, KEYS, parse, peer, withWireguard } from "./wireguard-support.ts";

/** Two peers with these allowed IPs. */
function peers(first: unknown, second: unknown, keys: Record<string, unknown> = {}) {
  return [peer({ allowedIPs: first }), peer({ publicKey: BOB, allowedIPs: second, ...keys })];
}

const path = (peerIndex: number, index?: number) =>
  `wireguard.peers[${peerIndex}].allowedIPs${index === undefined ? "" : `[${index}]`}`;

describe("what is wrong between keys that are each right", () => {
  test.each<[string, Record<string, unknown>, string]>([
    [
      "a prefix of two peers",
      { peers: peers(["10.1.2.0/24"], ["10.9.0.0/24", "10.1.2.7/24"]) },
      `${path(1, 1)} is "10.1.2.0/24", and so is ${path(0, 0)}: give each address to one peer`,
    ],
    [
      "a peer twice",
      { peers: [peer(), peer()] },
      `wireguard.peers[1].publicKey is "${ALICE}", and so is wireguard.peers[0].publicKey: make one peer of the two`,
    ],
    [
      "an allowed IP that holds the bridge's subnet",
      { peers: peers("10.1.0.0/16", []) },
      `${path(0)} is "10.1.0.0/16", which overlaps "10.1.1.0/24" (ipam.subnet): an address would be on this node and`,
    ],
    [
      "an allowed IP in the bridge's subnet",
      { peers: peers(["10.1.1.77"], []) },
      `${path(0, 0)} is "10.1.1.77/32", which overlaps "10.1.1.0/24" (ipam.subnet)`,
    ],
    [
      "everything through the node's device",
      { peers: peers(["0.0.0.0/0"], []) },
      `${path(0, 0)} is "0.0.0.0/0", and wireguard.attach is "node": the node itself would be cut off: give the prefixes`,
    ],
    [
      "half of everything",
      { peers: peers([], ["8000::/1"]) },
      `${path(1, 0)} is "8000::/1", and wireguard.attach is "node"`,
    ],
    [
      "loopback",
      { peers: peers("127.0.0.1", []) },
      `${path(0)} is "127.0.0.1/32", which overlaps "127.0.0.0/8" (loopback`,
    ],
    [
      "link-local",
      { attach: "pod", peers: peers("fe80::/64", []) },
      `${path(0)} is "fe80::/64", which overlaps "fe80::/10"`,
    ],
    [
      "multicast",
      { attach: "pod", peers: peers("224.0.0.5", []) },
      `${path(0)} is "224.0.0.5/32", which overlaps "224.0.0.0/4"`,
    ],
    [
      "a peer behind itself",
      { peers: [peer({ allowedIPs: ["192.0.2.0/24"] })] },
      `wireguard.peers[0].endpoint is "192.0.2.2", which is in "192.0.2.0/24" (${path(0, 0)}): the way to the peer would be through the tunnel: give an endpoint`,
    ],
    [
      "a peer behind another",
      { peers: peers("10.1.2.0/24", "2001:db8::/32", { endpoint: "[2001:db8::7]:1" }) },
      `wireguard.peers[1].endpoint is "2001:db8::7", which is in "2001:db8::/32" (${path(1)})`,
    ],
    [
      "an address of a pod's",
      { address: "10.1.1.3/24" },
      'wireguard.address is "10.1.1.3", which is in "10.1.1.0/24" (ipam.subnet): it is a pod\'s: give',
    ],
    [
      "an address of a peer's",
      { address: "10.8.0.2/24", peers: peers("10.8.0.2", []) },
      `wireguard.address is "10.8.0.2", and so is ${path(0)}: give the device`,
    ],
    [
      "an address twice",
      { address: ["10.8.0.2/24", "10.8.0.2/32"] },
      'wireguard.address[1] is "10.8.0.2", and so is wireguard.address[0]: take one',
    ],
    [
      "an MTU that is too small for what is behind a peer",
      { mtu: 1279, peers: peers([], "fd00::/64") },
      `wireguard.mtu is 1279, and ${path(1)} is IPv6: give at least`,
    ],
    [
      "an MTU that is too small for the own address",
      { mtu: 576, address: "fd00:8::1/64" },
      "wireguard.mtu is 576, and wireguard.address is IPv6: give at least",
    ],
  ])("%s", async (_name, keys, begin) => {
    const issues = await issuesOf(withWireguard(keys));
    expect(issues[0]).toSatisfy((line: string) => line.startsWith(begin), `begins with ${begin}`);
    expect(issues).toHaveLength(1);
  });

  test("each of several allowed IPs that hold the bridge's subnet, in ranges too", async () => {
    const ranges = [[{ subnet: "10.1.1.0/24" }], [{ subnet: "fd00:1::/64" }]];
    const raw = withWireguard({ peers: peers(["10.0.0.0/8", "10.1.0.0/16"], ["fd00::/16"]) }, { ipam: { ranges } });
    expect((await issuesOf(raw)).map((line) => line.slice(0, line.indexOf(": ")))).toEqual([
      `${path(0, 0)} is "10.0.0.0/8", which overlaps "10.1.1.0/24" (ipam.ranges[0][0].subnet)`,
      `${path(0, 1)} is "10.1.0.0/16", which overlaps "10.1.1.0/24" (ipam.ranges[0][0].subnet)`,
      `${path(1, 0)} is "fd00::/16", which overlaps "fd00:1::/64" (ipam.ranges[1][0].subnet)`,
    ]);
  });
});

describe("what is fine", () => {
  test.each<[string, Record<string, unknown>]>([
    ["an exception to another peer's prefix", { peers: peers(["10.2.0.0/16"], ["10.2.3.0/24", "10.2.3.4"]) }],
    ["an own address in a peer's prefix", { address: "10.8.0.1/24", peers: peers("10.8.0.0/24", []) }],
    ["two own addresses of one subnet", { address: ["10.8.0.1/24", "10.8.0.2/24"] }],
    ["a small MTU without IPv6", { mtu: 576 }],
    ["an endpoint that is not known yet", { peers: [peer({ endpoint: "node2:1", allowedIPs: "192.0.2.0/24" })] }],
    [
      "everything, with endpoint and bridge inside, from a pod",
      { attach: "pod", peers: [peer({ allowedIPs: ["0.0.0.0/1", "128.0.0.0/1"] })] },
    ],
    [
      "an endpoint inside of the prefixes of a pod, whose packets the node sends",
      { attach: "pod", peers: [peer({ allowedIPs: "192.0.2.0/24" })] },
    ],
    ["a device in a pod that is called as the bridge is", { attach: "pod", interface: "cni0" }],
    ["a device on the node that is called as the pod's link is", { interface: "eth0" }],
  ])("%s", async (_name, keys) => {
    await expect(parse(withWireguard(keys))).resolves.toBeDefined();
  });

  test.each([null, 5, "x", {}, { subnet: 5 }, { subnet: "x" }, { ranges: 5 }, { ranges: [5, [5, null]] }])(
    "ipam: %j, of which the delegate complains",
    async (ipam) => {
      await expect(parse(withWireguard({}, { ipam }))).resolves.toBeDefined();
    },
  );
});

describe("what is wrong between a configuration and its node", () => {
  const facts: NodeFacts = { ownPublicKey: key(KEYS[7] ?? ""), subnets: [], meshes: [], routes: [] };

  async function conflicts(keys: Record<string, unknown>, changed: Partial<NodeFacts>): Promise<string[]> {
    const config = await parse(withWireguard(keys));
    return nodeConflicts(config, { ...facts, ...changed }).map(({ what, remedy }) => `${what}: ${remedy}`);
  }

  test("a peer with the node's own key", async () => {
    const keys = { peers: peers("10.1.2.0/24", "10.1.3.0/24") };
    expect(await conflicts(keys, {})).toEqual([]);
    expect(await conflicts(keys, { ownPublicKey: key(BOB) })).toEqual([
      `wireguard.peers[1].publicKey is "${BOB}", the key of this device itself: take that peer out on this node: a peer is another end`,
    ]);
  });

  test("a prefix that is on a link as well, whichever holds the other", async () => {
    const subnets = [
      { dev: "eth0", prefix: prefix("10.9.0.0/24") },
      { dev: "eth1", prefix: prefix("fd00:9::/64") },
      { dev: "eth2", prefix: prefix("198.51.100.7/32") },
    ];
    const keys = { peers: peers(["10.9.0.7", "10.1.2.0/24"], ["fd00::/16", "198.51.0.0/16", "10.9.1.0/24"]) };
    const overlap = "give what is behind the peer alone, without addresses of the networks that the node itself is in";
    expect(await conflicts(keys, { subnets })).toEqual([
      `${path(0, 0)} is "10.9.0.7/32", which overlaps "10.9.0.0/24" on the node's eth0: ${overlap}`,
      `${path(1, 0)} is "fd00::/16", which overlaps "fd00:9::/64" on the node's eth1: ${overlap}`,
      `${path(1, 1)} is "198.51.0.0/16", which overlaps "198.51.100.7/32" on the node's eth2: ${overlap}`,
    ]);
  });

  test("a prefix that another device of the node keeps for itself, whichever holds the other", async () => {
    const meshes = ["10.1.2.128/25", "10.8.0.0/16", "fd00:1::/32"].map((text) => ({
      dev: "wg1",
      network: "othernet",
      prefix: prefix(text),
    }));
    const keys = { peers: peers(["10.1.2.0/24", "10.1.4.0/24"], ["10.8.7.0/24", "fd00:2::/32"]) };
    const of = "of the node's WireGuard device wg1 (network othernet)";
    const remedy = "give each prefix to one device; with removeWithLastPod, wg1 goes with the last pod of its network";
    expect(await conflicts(keys, { meshes })).toEqual([
      `${path(0, 0)} is "10.1.2.0/24", which overlaps "10.1.2.128/25" ${of}: ${remedy}`,
      `${path(1, 0)} is "10.8.7.0/24", which overlaps "10.8.0.0/16" ${of}: ${remedy}`,
    ]);
  });

  test("an own address in the subnet of a link", async () => {
    const subnets = [{ dev: "eth0", prefix: prefix("10.8.0.0/16") }];
    expect(await conflicts({ address: ["10.8.0.1/24", "fd00:8::1/64"] }, { subnets })).toEqual([
      `wireguard.address, with "10.8.0.1/24", overlaps "10.8.0.0/16" on the node's eth0: give an address, with a prefix length, of a network that the node is not in otherwise`,
    ]);
  });

  test("another route to what is behind a peer, unless it is less specific", async () => {
    const routes = ["0.0.0.0/0", "10.0.0.0/8", "10.1.2.0/24", "10.1.3.64/26", "::/0"].map((dst) => ({
      dst: prefix(dst),
      text: `${dst} via 10.9.0.1 dev eth0`,
    }));
    const keys = { peers: peers("10.1.2.0/24", ["10.1.3.0/24", "10.1.4.0/24", "fd00:4::/64"]) };
    const remedy = "remove that route, or give wireguard.table, or take its addresses out of allowedIPs";
    expect(await conflicts(keys, { routes })).toEqual([
      `${path(0)} is "10.1.2.0/24", and the node has the route "10.1.2.0/24 via 10.9.0.1 dev eth0": ${remedy}`,
      `${path(1, 0)} is "10.1.3.0/24", and the node has the route "10.1.3.64/26 via 10.9.0.1 dev eth0": ${remedy}`,
    ]);
  });

  test("is found among a thousand peers and a thousand subnets before a comparison of each with each would end", async () => {
    const many = Array.from({ length: 1000 }, (_, n) => ({
      publicKey: Buffer.alloc(32, `key ${n}`).toString("base64"),
      endpoint: `192.0.2.1:${n + 1}`,
      allowedIPs: Array.from({ length: 8 }, (__, m) => `10.${64 + (n >> 5)}.${((n & 31) << 3) + m}.0/24`),
    }));
    const subnets = Array.from({ length: 1000 }, (_, n) => ({
      dev: `veth${n}`,
      prefix: prefix(`10.${n >> 8}.${n & 255}.0/24`),
    }));
    subnets.push({ dev: "eth9", prefix: prefix("10.95.56.4/30") });
    const found = await conflicts({ peers: many }, { subnets });
    expect(found).toHaveLength(1);
    expect(found[0]).toContain('wireguard.peers[999].allowedIPs[0] is "10.95.56.0/24", which overlaps "10.95.56.4/30"');
  });
});

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`${text} is no prefix`);
  return parsed;
}

function key(text: string): PublicKey {
  const parsed = parsePublicKey(text);
  if (parsed === undefined) throw new Error(`${text} is no key`);
  return parsed;
}
