import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import { BUILT } from "./support/cluster.ts";
import { eventually } from "./support/eventually.ts";
import { failure } from "./support/failed-add.ts";
import { KEY_FILE, keyPair, Mesh, podSubnet, podSubnet6 } from "./support/mesh.ts";
import { killed, shownDevice, wireguardGo } from "./support/wg.ts";

type Added = Awaited<ReturnType<Mesh["addedPod"]>>;

let mesh: Mesh;
let node: Node;
/** On the other node: whom pods speak to. */
let peer: Added;
/** On this node, through all of it. */
let resident: Added;

const PSK_FILE = "/etc/podvpn/psk";

beforeAll(async () => {
  mesh = await Mesh.create(2);
  ({ node } = mesh.at(1));
  const { privateKey: psk } = keyPair();
  for (const of of [1, 2]) await mesh.at(of).node.writeFile(PSK_FILE, `${psk}\n`, 0o600);
  peer = await mesh.addedPod(2, "peer", conf(2));
  resident = await mesh.addedPod(1, "resident", conf());
});
afterAll(async () => {
  await resident?.[Symbol.asyncDispose]();
  await peer?.[Symbol.asyncDispose]();
  await mesh?.[Symbol.asyncDispose]();
});

/** With something of everything that CHECK looks at. */
function conf(of = 1, overrides: Parameters<Mesh["conf"]>[1] = {}) {
  return mesh.conf(of, {
    ...overrides,
    wireguard: {
      table: 51820,
      fwmark: 51820,
      address: [`10.3.0.${of}/32`, `fd00:3::${of}/128`],
      removeWithLastPod: true,
      peers: mesh.peersOf(of).map((one) => ({ ...one, presharedKeyFile: PSK_FILE, persistentKeepalive: 25 })),
      ...overrides.wireguard,
    },
  });
}

describe("CHECK", () => {
  const other = () => mesh.at(2).publicKey;
  const wg = (...args: string[]) => node.exec(["wg", "set", "podvpn0", ...args]);
  const stranger = keyPair().publicKey;

  /** What can be lost, and what CHECK says to it: PEER is the other node's key. */
  const LOSSES: readonly {
    name: string;
    lose: (added: Added) => Promise<unknown>;
    msg: string | readonly string[];
    code?: number;
    /** Nothing that the ADD of another pod could mend. */
    ofPod?: true;
  }[] = [
    {
      name: "the device is down",
      lose: () => node.exec(["ip", "link", "set", "podvpn0", "down"]),
      msg: "podvpn0 is down",
    },
    {
      name: "the device has another MTU",
      lose: () => node.exec(["ip", "link", "set", "podvpn0", "mtu", "1280"]),
      msg: "the MTU of podvpn0 is 1280 instead of 1420",
    },
    {
      name: "the device has another key than its file",
      lose: async () => {
        await node.writeFile("/root/other.key", `${keyPair().privateKey}\n`, 0o600);
        await wg("private-key", "/root/other.key");
      },
      msg: "the private key of podvpn0 is another than that of its file",
    },
    {
      name: "the device listens elsewhere",
      lose: () => wg("listen-port", "51999"),
      msg: "podvpn0 does not listen on port 51820",
    },
    { name: "the device has another mark", lose: () => wg("fwmark", "7"), msg: "the fwmark of podvpn0 is not 51820" },
    { name: "a peer is missing", lose: () => wg("peer", other(), "remove"), msg: "missing: peer PEER" },
    {
      name: "there is a peer that nobody knows",
      lose: () => wg("peer", stranger, "allowed-ips", "10.77.0.0/24"),
      msg: `peer ${stranger} is on the device, but not in the configuration`,
    },
    {
      name: "an allowed IP is missing",
      lose: () => wg("peer", other(), "allowed-ips", podSubnet(2)),
      msg: `peer PEER does not have allowed IPs ${podSubnet6(2)}`,
    },
    {
      name: "an allowed IP is with somebody else",
      lose: () => wg("peer", stranger, "allowed-ips", podSubnet(2)),
      msg: [`peer PEER does not have allowed IPs ${podSubnet(2)}`, `peer ${stranger} is on the device`],
    },
    {
      name: "there is an allowed IP too many",
      lose: () => wg("peer", other(), "allowed-ips", `${podSubnet(2)},${podSubnet6(2)},10.77.0.0/24`),
      msg: "allowed IPs 10.77.0.0/24 are on the device, but not in the configuration",
    },
    {
      name: "the preshared key is gone",
      lose: () => wg("peer", other(), "preshared-key", "/dev/null"),
      msg: "peer PEER has another preshared key",
    },
    {
      name: "the keepalive is another",
      lose: () => wg("peer", other(), "persistent-keepalive", "77"),
      msg: "peer PEER has another keepalive",
    },
    {
      name: "an address of the device is missing",
      lose: () => node.exec(["ip", "address", "delete", "10.3.0.1/32", "dev", "podvpn0"]),
      msg: "missing: 10.3.0.1/32 on podvpn0",
    },
    {
      name: "a route is missing",
      lose: () => node.exec(["ip", "route", "delete", podSubnet(2), "dev", "podvpn0", "table", "51820"]),
      msg: `missing: unicast route to ${podSubnet(2)} in table 51820`,
    },
    {
      name: "a refusal is missing",
      lose: () => node.exec(["ip", "route", "delete", "unreachable", podSubnet(2), "metric", "4010"]),
      msg: `missing: unreachable route to ${podSubnet(2)} in table 254`,
    },
    {
      name: "an IPv6 refusal of the mesh's table is missing",
      lose: () => node.exec(["ip", "-6", "route", "delete", podSubnet6(2), "metric", "4010", "table", "51820"]),
      msg: `missing: unreachable route to ${podSubnet6(2)} in table 51820`,
    },
    {
      name: "the rule is missing",
      lose: () => node.exec(["ip", "rule", "delete", "priority", "209"]),
      msg: "missing: routing rule to table 51820 (IPv4)",
    },
    {
      name: "the IPv6 rule is missing",
      lose: () => node.exec(["ip", "-6", "rule", "delete", "priority", "209"]),
      msg: "missing: routing rule to table 51820 (IPv6)",
    },
    {
      name: "the guard was deleted",
      lose: () => node.exec(["nft", "delete", "table", "inet", "podvpn-mesh-podvpn0"]),
      msg: "missing: nft table inet podvpn-mesh-podvpn0",
    },
    {
      name: "the guard was flushed",
      lose: () => node.exec(["nft", "flush", "table", "inet", "podvpn-mesh-podvpn0"]),
      msg: "missing: ",
    },
    {
      name: "a chain of the guard was flushed",
      lose: () => node.exec(["nft", "flush", "chain", "inet", "podvpn-mesh-podvpn0", "out"]),
      msg: "out",
    },
    {
      name: "a prefix is missing in the guard",
      lose: () => node.exec(["nft", "flush", "set", "inet", "podvpn-mesh-podvpn0", "mesh4"]),
      msg: "mesh4",
    },
    {
      name: "the pod's masquerading is missing",
      lose: ({ pod }) => node.exec(["nft", "delete", "table", "ip", `podvpn-masq-${pod.containerID}-eth0`]),
      msg: "missing: the masquerading of the pod's address",
      ofPod: true,
    },
    {
      name: "a route of the pod is missing",
      lose: ({ pod }) => pod.exec(["ip", "route", "delete", podSubnet(2)]),
      msg: `missing: route to ${podSubnet(2)} via 10.1.1.1 with MTU 1420 in the pod`,
      ofPod: true,
    },
    {
      name: "a route of the pod has another MTU",
      lose: ({ pod }) => pod.exec(["ip", "route", "change", podSubnet(2), "via", "10.1.1.1", "mtu", "1500"]),
      msg: `missing: route to ${podSubnet(2)} via 10.1.1.1 with MTU 1420 in the pod`,
      ofPod: true,
    },
    {
      name: "the pod's link is missing",
      lose: ({ pod }) => pod.exec(["ip", "link", "delete", "eth0"]),
      msg: "missing: interface eth0",
      ofPod: true,
    },
    {
      name: "the pod's default route is missing, which is for the bridge plugin to tell",
      lose: ({ pod }) => pod.exec(["ip", "route", "delete", "default"]),
      code: 999,
      msg: "Expected Route",
      ofPod: true,
    },
    {
      name: "a route is missing in the runtime's result",
      lose: async ({ pod }) => {
        const file = `/var/lib/cni/cache/results/podnet-${pod.containerID}-eth0`;
        const cached = JSON.parse(await node.readFile(file));
        const routes = cached.result.routes.filter(({ dst }: { dst: string }) => dst !== podSubnet(2));
        await node.writeFile(file, JSON.stringify({ ...cached, result: { ...cached.result, routes } }));
      },
      msg: `missing: route to ${podSubnet(2)} in prevResult`,
      ofPod: true,
    },
    {
      name: "the pod's state is missing",
      lose: ({ pod }) => node.exec(["rm", "-rf", `/run/podvpn/pods/${pod.containerID}+eth0`]),
      code: 3,
      msg: "no attachment of eth0 for container",
      ofPod: true,
    },
  ];

  test.each(LOSSES)("tells when $name; the next ADD mends the node", async ({ name, lose, msg, code, ofPod }) => {
    await using own = ofPod ? await mesh.addedPod(1, name.replaceAll(/\W/g, "-"), conf()) : undefined;
    const added = own ?? resident;
    await added.pod.check(conf(), BUILT);
    await lose(added);
    const error = await failure(added.pod.check(conf(), BUILT));
    for (const part of [msg].flat()) expect(error.msg).toContain(part.replace("PEER", other()));
    expect(error.code).toBe(code ?? 108);
    // Told and not mended: it says so until somebody does.
    expect((await failure(added.pod.check(conf(), BUILT))).msg).toBe(error.msg);
    if (ofPod) return;
    await using next = await mesh.addedPod(1, "next", conf());
    await added.pod.check(conf(), BUILT);
    await eventually("pods speak again", 10_000, () => next.pod.ping(peer.ip));
    expect(await added.pod.ping(peer.ip6)).toBe(true);
  });

  test("of a wireguard-go that was killed: told, replaced, and all as before", async () => {
    await using added = await mesh.addedPod(1, "killed", conf());
    expect(await added.pod.ping(peer.ip)).toBe(true);
    const before = await shownDevice(node);
    const pid = await wireguardGo(node);
    await using capture = await mesh.testbed.capture("net 10.1.0.0/16 or net fd00:1::/32");
    await killed(node, pid);
    expect(await added.pod.ping(peer.ip)).toBe(false);
    expect(await added.pod.ping(peer.ip6)).toBe(false);
    const error = await failure(added.pod.check(conf(), BUILT));
    expect(error.code).toBe(108);
    expect(error.msg).toContain(
      "the wireguard-go of podvpn0 did not run, or did not answer: pods of this network had no tunnel",
    );
    await added.pod.check(conf(), BUILT);
    expect(await wireguardGo(node)).not.toBe(pid);
    const after = await shownDevice(node);
    expect({ ...after, peers: [...after.peers.keys()] }).toEqual({ ...before, peers: [...before.peers.keys()] });
    expect(await added.pod.ping(peer.ip)).toBe(true);
    expect(await added.pod.ping(peer.ip6)).toBe(true);
    await capture.sync();
    expect(await capture.packets()).toEqual([]);
  });

  test("of a device that somebody removed: told, and made again", async () => {
    await using added = await mesh.addedPod(1, "removed", conf());
    await node.exec(["ip", "link", "delete", "podvpn0"]);
    expect(await failure(added.pod.check(conf(), BUILT))).toMatchObject({ code: 108 });
    await added.pod.check(conf(), BUILT);
    expect(await added.pod.ping(peer.ip)).toBe(true);
  });

  test("of a wireguard-go that does not answer: told, replaced, and all as before", async () => {
    await using added = await mesh.addedPod(1, "stopped", conf());
    const pid = await wireguardGo(node);
    await node.exec(["kill", "-STOP", pid]);
    const error = await failure(added.pod.check(conf(), BUILT));
    expect(error.code).toBe(108);
    expect(error.msg).toContain("the wireguard-go of podvpn0 did not run, or did not answer");
    await added.pod.check(conf(), BUILT);
    expect(await wireguardGo(node)).not.toBe(pid);
    expect(await added.pod.ping(peer.ip)).toBe(true);
  });

  test("of several pods at once replaces a killed wireguard-go once", async () => {
    const names = ["p1", "p2", "p3"];
    await using cleanup = new AsyncDisposableStack();
    const pods = [];
    for (const name of names) pods.push(cleanup.use(await mesh.addedPod(1, name, conf())));
    await killed(node, await wireguardGo(node));
    const checks = await Promise.allSettled(pods.map(({ pod }) => pod.check(conf(), BUILT)));
    expect(checks.filter(({ status }) => status === "rejected").length).toBeGreaterThanOrEqual(1);
    const processes = (await node.snapshot()).get("processes") ?? [];
    expect(processes.filter((line) => line.includes("wireguard-go"))).toHaveLength(1);
    for (const { pod } of pods) {
      await pod.check(conf(), BUILT);
      expect(await pod.ping(peer.ip)).toBe(true);
    }
  });

  test("sees a configuration that has changed since ADD; the next ADD brings the device there", async () => {
    await using added = await mesh.addedPod(1, "changed", conf());
    const changed = conf(1, { wireguard: { mtu: 1300, listenPort: 51888, table: 51821 } });
    const { msg } = await failure(added.pod.check(changed, BUILT));
    expect(msg).toContain("the MTU of podvpn0 is 1420 instead of 1300");
    expect(msg).toContain("podvpn0 does not listen on port 51888");
    expect(msg).toContain(`missing: unicast route to ${podSubnet(2)} in table 51821`);
    await using next = await mesh.addedPod(1, "next", changed);
    await next.pod.check(changed, BUILT);
    expect((await node.exec(["ip", "route", "show", "table", "51820"], { check: false })).stdout).toBe("");
    await eventually("the peer has learnt the new port", 10_000, () => next.pod.ping(peer.ip));
  });

  test("says in logFile where WireGuard is done, as ADD and STATUS do", async () => {
    const logFile = "/opt/podvpn-check.log";
    const configuration = conf(1, { logFile });
    await using added = await mesh.addedPod(1, "logged", configuration);
    await added.pod.check(configuration, BUILT);
    await added.pod.runtime(BUILT).status({ ...configuration, cniVersion: "1.1.0" });
    const lines = (await node.readFile(logFile)).split("\n").filter((line) => line.includes("data plane"));
    expect(lines.map((line) => line.replace(/^\S+ /, ""))).toEqual([
      expect.stringMatching(/^info ADD .*: data plane of podvpn0: userspace; MTU 1420$/),
      expect.stringMatching(/^info CHECK .*: data plane of podvpn0: userspace$/),
      expect.stringMatching(/^info STATUS .*: data plane: userspace$/),
    ]);
  });

  test("of a key file that has become unreadable for us alone is an error, and changes nothing", async () => {
    await using added = await mesh.addedPod(1, "open", conf());
    const before = await shownDevice(node);
    await node.exec(["chmod", "644", KEY_FILE]);
    const error = await failure(added.pod.check(conf(), BUILT)).finally(() => node.exec(["chmod", "600", KEY_FILE]));
    expect(error).toMatchObject({
      code: 7,
      msg: expect.stringContaining("which others than its owner may use (mode 0644)"),
    });
    expect((await shownDevice(node)).publicKey).toBe(before.publicKey);
    await added.pod.check(conf(), BUILT);
  });
});
