import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import type { Pod } from "../../src/testbed/pod.ts";
import type { Snapshot } from "../../src/testbed/snapshot.ts";
import { BUILT } from "./support/cluster.ts";
import { failure } from "./support/failed-add.ts";
import { keyPair, Mesh, nodeAddress, podSubnet, podSubnet6 } from "./support/mesh.ts";
import { expectUnchanged } from "./support/unchanged.ts";
import { killed, shownDevice } from "./support/wg.ts";

type Added = Awaited<ReturnType<Mesh["addedPod"]>>;

let mesh: Mesh;
let node: Node;
/** The node with its bridge, before any device. */
let bare: Snapshot;

/** The pods' own keys, each on its node. */
const KEYS = { a: keyPair(), b: keyPair() };
const keyFile = (name: keyof typeof KEYS) => `/etc/podvpn/${name}.key`;
/** Where pod `b` listens. */
const PORT = 51900;
const ADDRESS = { a: ["10.8.0.1/32", "fd00:8::1/128"], b: ["10.8.0.2/32", "fd00:8::2/128"] } as const;
/** None of these may be on a wire or bridge: what pods say to each other by their devices. */
const PLAIN = "net 10.8.0.0/24 or net fd00:8::/64";

beforeAll(async () => {
  mesh = await Mesh.create(2);
  ({ node } = mesh.at(1));
  for (const of of [1, 2]) {
    for (const [name, { privateKey }] of Object.entries(KEYS)) {
      await mesh.at(of).node.writeFile(keyFile(name as keyof typeof KEYS), `${privateKey}\n`, 0o600);
    }
    await using _first = await mesh.addedPod(of, "first", ownConf(of, {})); // what every first pod leaves
  }
  bare = await node.snapshot();
});
afterAll(async () => {
  await mesh?.[Symbol.asyncDispose]();
});

/** A pod with a device of its own. */
function ownConf(of: number, wireguard: Record<string, unknown>, overrides: Record<string, unknown> = {}) {
  return mesh.conf(of, {
    cniVersion: "1.1.0",
    ...overrides,
    wireguard: { attach: "pod", interface: "wg0", ...wireguard },
  });
}

/** Pod `a` of node 1, which calls pod `b` of node 2. */
const ofA = (wireguard: Record<string, unknown> = {}) =>
  ownConf(1, {
    privateKeyFile: keyFile("a"),
    address: ADDRESS.a,
    peers: [{ publicKey: KEYS.b.publicKey, endpoint: `${nodeAddress(2)}:${PORT}`, allowedIPs: ADDRESS.b }],
    ...wireguard,
  });
const ofB = (wireguard: Record<string, unknown> = {}) =>
  ownConf(2, {
    privateKeyFile: keyFile("b"),
    listenPort: PORT,
    address: ADDRESS.b,
    peers: [{ publicKey: KEYS.a.publicKey, allowedIPs: ADDRESS.a }],
    ...wireguard,
  });

const stateOf = (pod: Pod) => `/run/podvpn/pods/${pod.containerID}+eth0`;
const pidOf = async (pod: Pod) => (await pod.node.readFile(`${stateOf(pod)}/wireguard-go.pid`)).trim();
/** The name of the one socket on the node, which a device keeps when it is renamed. */
const socketOf = async (of: Node) => (await of.exec(["ls", "/run/wireguard"])).stdout.trim().replace(".sock", "");

/** tcpdump on a pod's device: a Capture asks for a link that has link-local addresses. */
async function listening(pod: Pod) {
  const program = pod.spawn(["tcpdump", "-i", "wg0", "-n", "-l", "--immediate-mode", "icmp or icmp6"]);
  await program.line(/listening on/, 10_000);
  return program;
}

describe("a pod with a WireGuard device of its own", () => {
  test("speaks to another one by the addresses of the two, and neither wire nor bridge carries it plain", async () => {
    await using underlay = await mesh.testbed.capture();
    await using bridge = await node.capture("cni0");
    await using b = await mesh.addedPod(2, "b", ofB());
    await using a = await mesh.addedPod(1, "a", ofA());
    await using heard = await listening(b.pod);
    expect(await a.pod.ping("10.8.0.2", 2)).toBe(true);
    expect(await b.pod.ping("10.8.0.1", 2)).toBe(true);
    expect(await a.pod.ping("fd00:8::2", 2)).toBe(true);
    await heard.line(/ 10\.8\.0\.1 > 10\.8\.0\.2: ICMP echo request/, 5000);
    await heard.line(/ fd00:8::1 > fd00:8::2: ICMP6, echo request/, 5000);
    for (const capture of [underlay, bridge]) {
      await capture.stop();
      expect(await capture.packets(PLAIN)).toEqual([]);
    }
    expect(await underlay.count(`udp port ${PORT}`)).toBeGreaterThan(0);
    expect(await bridge.count(`udp port ${PORT}`)).toBe(0); // it does not pass the pod's link at all
    await a.pod.check(ofA(), BUILT);
    await b.pod.check(ofB(), BUILT);
  });

  test("has the device in the pod alone, and its UDP socket on the node alone", async () => {
    await using b = await mesh.addedPod(2, "b", ofB());
    const of = mesh.at(2).node;
    expect((await b.pod.exec(["ip", "-o", "link", "show", "wg0"])).stdout).toMatch(/mtu 1420 .*state (UNKNOWN|UP)/);
    expect((await of.exec(["ip", "-o", "link"])).stdout).not.toMatch(/wg0|pv[0-9a-f]{8}/);
    const sockets = ["ss", "-Huln", "sport", "=", `:${PORT}`] as const;
    expect((await of.exec([...sockets])).stdout).not.toBe("");
    expect((await b.pod.exec([...sockets])).stdout).toBe("");
    expect(await shownDevice(of, await socketOf(of))).toMatchObject({ publicKey: KEYS.b.publicKey, listenPort: PORT });
  });

  test("keeps its address on the link in the tunnel when it has none of its own", async () => {
    const peers = (publicKey: string, of: number, endpoint?: string) => [
      { publicKey, allowedIPs: [podSubnet(of), podSubnet6(of)], ...(endpoint === undefined ? {} : { endpoint }) },
    ];
    const bare2 = ofB({ address: [], peers: peers(KEYS.a.publicKey, 1) });
    const bare1 = ofA({ address: [], peers: peers(KEYS.b.publicKey, 2, `${nodeAddress(2)}:${PORT}`) });
    await using underlay = await mesh.testbed.capture("net 10.1.0.0/16 or net fd00:1::/32");
    await using b = await mesh.addedPod(2, "b", bare2);
    await using a = await mesh.addedPod(1, "a", bare1);
    await using heard = await listening(b.pod);
    expect(await a.pod.ping(b.ip)).toBe(true);
    expect(await a.pod.ping(b.ip6)).toBe(true);
    expect(await b.pod.ping(a.ip)).toBe(true);
    await heard.line(new RegExp(` ${a.ip} > ${b.ip}: ICMP echo request`), 5000);
    await heard.line(new RegExp(` ${a.ip6} > ${b.ip6}: ICMP6, echo request`), 5000);
    expect((await a.pod.exec(["ip", "route", "get", b.ip])).stdout).toContain(`dev wg0 table 220 src ${a.ip}`);
    await underlay.sync();
    expect(await underlay.packets()).toEqual([]);
  });

  test("is told in the result: device, addresses and routes behind those of the link", async () => {
    await using a = await mesh.addedPod(1, "a", ofA());
    const at = a.result.interfaces.findIndex(({ name }) => name === "wg0");
    expect(a.result.interfaces[at]).toMatchObject({ sandbox: a.pod.netnsPath, mtu: 1420 });
    expect(a.result.ips.filter((ip) => ip.interface === at).map(({ address }) => address)).toEqual(ADDRESS.a);
    expect(a.result.routes).toEqual(
      expect.arrayContaining(ADDRESS.b.map((dst) => expect.objectContaining({ dst, mtu: 1420 }))),
    );
  });

  test("has a key that is made with it, and goes with it", async () => {
    const conf = ownConf(1, { peers: mesh.peersOf(1) });
    const made = async () => {
      await using added = await mesh.addedPod(1, "keyed", conf);
      const { stdout } = await node.exec(["stat", "-c", "%a", `${stateOf(added.pod)}/private.key`]);
      expect(stdout.trim()).toBe("600");
      return (await shownDevice(node, await socketOf(node))).publicKey;
    };
    const first = await made();
    await expectUnchanged(node, bare);
    expect(await made()).not.toBe(first);
  });

  test("has a key that is made once and stays, by a template of its name", async () => {
    const file = "/var/lib/podvpn/wireguard/{args.K8S_POD_NAME}.key";
    const conf = ownConf(1, { peers: mesh.peersOf(1), privateKeyFile: file });
    const options = { ...BUILT, args: { K8S_POD_NAME: "web-0", IgnoreUnknown: "1" } };
    const made = async () => {
      await using _added = await mesh.addedPod(1, "kept", conf, options);
      return (await shownDevice(node, await socketOf(node))).publicKey;
    };
    const first = await made();
    expect(await made()).toBe(first);
    const { stdout } = await node.exec(["sh", "-c", "wg pubkey </var/lib/podvpn/wireguard/web-0.key"]);
    expect(stdout.trim()).toBe(first);
    await node.exec(["rm", "/var/lib/podvpn/wireguard/web-0.key"]);
    await expectUnchanged(node, bare);
  });

  test("has a full tunnel to a node's device; without wireguard-go nothing leaves the pod but to its link", async () => {
    const device = mesh.conf(2, {
      wireguard: { removeWithLastPod: true, peers: [{ publicKey: KEYS.a.publicKey, allowedIPs: ADDRESS.a }] },
    });
    const everything = ofA({
      peers: [
        { publicKey: mesh.at(2).publicKey, endpoint: `${nodeAddress(2)}:51820`, allowedIPs: ["0.0.0.0/0", "::/0"] },
      ],
    });
    await using b = await mesh.addedPod(2, "behind", device);
    await using a = await mesh.addedPod(1, "a", everything);
    await using underlay = await mesh.testbed.capture("icmp or icmp6[icmp6type] == icmp6-echo");
    expect(await a.pod.ping(b.ip, 2)).toBe(true);
    expect(await a.pod.ping(b.ip6, 2)).toBe(true);
    expect((await a.pod.exec(["ip", "route", "get", "192.0.2.1"])).stdout).toContain("dev wg0");
    expect(await a.pod.ping("10.1.1.1")).toBe(true); // the node, on the pod's own link
    await a.pod.check(everything, BUILT);
    await killed(node, await pidOf(a.pod));
    for (const to of [b.ip, b.ip6, "192.0.2.1", nodeAddress(2)]) expect(await a.pod.ping(to)).toBe(false);
    expect(await a.pod.ping("10.1.1.1")).toBe(true);
    expect(await failure(a.pod.check(everything, BUILT))).toMatchObject({
      code: 108,
      msg: expect.stringContaining(
        "the wireguard-go of the pod's wg0 did not run, or did not answer: it had no tunnel",
      ),
    });
    await a.pod.check(everything, BUILT);
    expect(await a.pod.ping(b.ip)).toBe(true);
    await underlay.sync();
    expect(await underlay.packets()).toEqual([]);
  });

  test("may have neighbours with devices of their own, each its own process and port", async () => {
    const conf = ownConf(1, { peers: mesh.peersOf(1) });
    const pods = await Promise.all(["p1", "p2", "p3"].map((name) => mesh.addedPod(1, name, conf)));
    for (const { pod } of pods) await pod.check(conf, BUILT);
    expect(new Set(await Promise.all(pods.map(({ pod }) => pidOf(pod)))).size).toBe(3);
    await Promise.all(pods.map((added) => added[Symbol.asyncDispose]()));
    await expectUnchanged(node, bare);
  });
});

describe("CHECK", () => {
  const socket = () => socketOf(node);
  const stranger = keyPair().publicKey;
  const LOSSES: readonly { name: string; lose: (added: Added) => Promise<unknown>; msg: string }[] = [
    { name: "is down", lose: ({ pod }) => pod.exec(["ip", "link", "set", "wg0", "down"]), msg: "wg0 is down" },
    {
      name: "has another MTU",
      lose: ({ pod }) => pod.exec(["ip", "link", "set", "wg0", "mtu", "1300"]),
      msg: "the MTU of wg0 is 1300 instead of 1420",
    },
    {
      name: "has lost its peer",
      lose: async () => node.exec(["wg", "set", await socket(), "peer", KEYS.b.publicKey, "remove"]),
      msg: `missing: peer ${KEYS.b.publicKey}`,
    },
    {
      name: "has a peer that nobody knows",
      lose: async () => node.exec(["wg", "set", await socket(), "peer", stranger]),
      msg: `peer ${stranger} is on the device, but not in the configuration`,
    },
    {
      name: "has lost an address",
      lose: ({ pod }) => pod.exec(["ip", "address", "delete", "10.8.0.1/32", "dev", "wg0"]),
      msg: "missing: 10.8.0.1/32 on wg0",
    },
    {
      name: "has lost a route",
      lose: ({ pod }) => pod.exec(["ip", "-6", "route", "delete", "fd00:8::2", "table", "220"]),
      msg: "missing: route to fd00:8::2/128 by wg0",
    },
    {
      name: "has lost the rule that leads to it",
      lose: ({ pod }) => pod.exec(["ip", "rule", "delete", "priority", "220"]),
      msg: "missing: routing rule to table 220 (IPv4)",
    },
    {
      name: "has lost its guard",
      lose: ({ pod }) => pod.exec(["nft", "delete", "table", "inet", "podvpn-eth0"]),
      msg: "missing: nft table inet podvpn-eth0",
    },
    {
      name: "was removed",
      lose: ({ pod }) => pod.exec(["ip", "link", "delete", "wg0"]),
      msg: "the wireguard-go of the pod's wg0 did not run, or did not answer: it had no tunnel",
    },
  ];

  test.each(LOSSES)("is content after ADD, and tells when the device $name", async ({ name, lose, msg }) => {
    await using added = await mesh.addedPod(1, name.replaceAll(/\W/g, "-"), ofA());
    await added.pod.check(ofA(), BUILT);
    await lose(added);
    const error = await failure(added.pod.check(ofA(), BUILT));
    expect(error.code).toBe(108);
    expect(error.msg).toContain(msg);
  });

  test("finds a peer whose name did not resolve at ADD", async () => {
    await node.writeFile("/etc/resolv.conf", "nameserver 127.0.0.1\n");
    await node.writeFile("/etc/hosts", "127.0.0.1 localhost\n");
    const named = ofA({
      peers: [{ publicKey: KEYS.b.publicKey, endpoint: `b.example:${PORT}`, allowedIPs: ADDRESS.b }],
    });
    await using a = await mesh.addedPod(1, "named", named);
    await using _b = await mesh.addedPod(2, "b", ofB());
    await node.writeFile("/etc/hosts", `127.0.0.1 localhost\n${nodeAddress(2)} b.example\n`);
    await a.pod.check(named, BUILT);
    expect(await a.pod.ping("10.8.0.2")).toBe(true);
  });
});

describe("DEL", () => {
  const ACCIDENTS: readonly { name: string; happens: (pod: Pod) => Promise<unknown> }[] = [
    { name: "nothing else", happens: async () => undefined },
    { name: "wireguard-go was killed", happens: async (pod) => killed(node, await pidOf(pod)) },
    { name: "wireguard-go was stopped", happens: async (pod) => node.exec(["kill", "-STOP", await pidOf(pod)]) },
    { name: "the device was removed", happens: (pod) => pod.exec(["ip", "link", "delete", "wg0"]) },
    { name: "the namespace was unmounted", happens: (pod) => pod.remove() },
    { name: "the key was removed", happens: () => node.exec(["rm", keyFile("a")]) },
  ];

  test.each(ACCIDENTS)("leaves nothing, when before it happened: $name", async ({ name, happens }) => {
    {
      await using added = await mesh.addedPod(1, name.replaceAll(/\W/g, "-"), ofA());
      await happens(added.pod);
      await added.pod.del(ofA(), BUILT);
      await added.pod.del(ofA(), BUILT);
    }
    await node.writeFile(keyFile("a"), `${KEYS.a.privateKey}\n`, 0o600);
    await expectUnchanged(node, bare);
  });
});
