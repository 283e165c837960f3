import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import type { Snapshot } from "../../src/testbed/snapshot.ts";
import { podvpnJson } from "./support/cli.ts";
import { BUILT } from "./support/cluster.ts";
import { eventually } from "./support/eventually.ts";
import { failure } from "./support/failed-add.ts";
import { type HostDevice, hostDevice, settled } from "./support/host-device.ts";
import { Mesh, nodeAddress, podSubnet, podSubnet6 } from "./support/mesh.ts";
import { expectUnchanged } from "./support/unchanged.ts";

let mesh: Mesh;
let node: Node;
/** On the other node: whom pods speak to. */
let peer: Awaited<ReturnType<Mesh["addedPod"]>>;

const LOG = "/opt/podvpn.log";

beforeAll(async () => {
  mesh = await Mesh.create(3);
  ({ node } = mesh.at(1));
  peer = await mesh.addedPod(2, "peer", conf(2));
  await using _first = await mesh.addedPod(1, "first", conf()); // what every first pod leaves
});
afterAll(async () => {
  await peer?.[Symbol.asyncDispose]();
  await mesh?.[Symbol.asyncDispose]();
});

function conf(of = 1, overrides: Parameters<Mesh["conf"]>[1] = {}) {
  return mesh.conf(of, {
    logFile: LOG,
    ...overrides,
    wireguard: { removeWithLastPod: true, ...overrides.wireguard },
  });
}

const sh = async (script: string, at = node) => (await at.exec(["sh", "-ec", script])).stdout;

/** Something of a node's that others have changed, until it is disposed. */
async function changed(change: string, back: string, at = node): Promise<AsyncDisposable> {
  await sh(change, at);
  return { [Symbol.asyncDispose]: async () => void (await sh(back, at)) };
}

describe("a FORWARD chain that drops", () => {
  const both = (backend: string, command: string) => `iptables-${backend} ${command}; ip6tables-${backend} ${command}`;

  test.each(["legacy", "nft"])("is opened for the device and the pods' subnet: iptables-%s", async (backend) => {
    await using _policy = await changed(both(backend, "-P FORWARD DROP"), both(backend, "-P FORWARD ACCEPT"));
    const before: Snapshot = await node.snapshot();
    {
      await using a = await mesh.addedPod(1, "a", conf());
      expect(await a.pod.ping(peer.ip)).toBe(true);
      expect(await a.pod.ping(peer.ip6)).toBe(true);
      expect(await peer.pod.ping(a.ip)).toBe(true);
      expect(await peer.pod.ping(a.ip6)).toBe(true);
      expect(await a.pod.ping(nodeAddress(2))).toBe(false); // nothing else is opened
      const rules = await sh(both(backend, "-S FORWARD"));
      expect(rules).toContain(`-A FORWARD -s ${podSubnet(1)} -o podvpn0 -m comment --comment podvpn -j ACCEPT`);
      expect(rules).toContain(`-A FORWARD -d ${podSubnet6(1)} -i podvpn0 -m comment --comment podvpn -j ACCEPT`);
      await using _b = await mesh.addedPod(1, "b", conf());
      expect(await sh(both(backend, "-S FORWARD"))).toBe(rules); // each rule once
      await a.pod.check(conf(), BUILT);
    }
    await expectUnchanged(node, before);
  });

  test("of both iptables at once is opened in both", async () => {
    const all = (command: string) => `${both("legacy", command)}; ${both("nft", command)}`;
    await using _policy = await changed(all("-P FORWARD DROP"), all("-P FORWARD ACCEPT"));
    await using a = await mesh.addedPod(1, "a", conf());
    expect(await a.pod.ping(peer.ip)).toBe(true);
    expect(await peer.pod.ping(a.ip6)).toBe(true);
  });

  test("of somebody else's nft table stays as it is, and log and status name it with the command that mends it", async () => {
    const table =
      "add table inet other; add chain inet other pass { type filter hook forward priority 0; policy drop; }";
    await using _table = await changed(`nft '${table}'; rm -f ${LOG}`, "nft delete table inet other");
    await using a = await mesh.addedPod(1, "a", conf());
    expect(await a.pod.ping(peer.ip)).toBe(false);
    const log = await node.readFile(LOG);
    expect(log).toMatch(/ADD .*the chain pass of the nft table inet other refuses forwarded packets/);
    const [, command = "false"] = /run `(nft '[^`]*')`/.exec(log) ?? [];
    const hints = async () => (await podvpnJson<HintedStatus>(node, 0, "status")).devices[0]?.hints;
    expect(await hints()).toEqual([expect.stringContaining(command)]);
    await sh(command);
    expect(await hints()).toEqual([]);
    expect(await a.pod.ping(peer.ip)).toBe(true);
    expect(await peer.pod.ping(a.ip6)).toBe(true);
    await sh(`rm ${LOG}`);
    await using _b = await mesh.addedPod(1, "b", conf());
    expect(await node.readFile(LOG)).not.toContain("refuses");
  });
});

interface HintedStatus {
  readonly devices: readonly { readonly hints: readonly string[] }[];
}

describe("kernel settings", () => {
  /** All that a device may have changed, but for the interfaces that come and go. */
  const SETTINGS = [
    "ipv4/ip_forward",
    ...["rp_filter", "forwarding"].map((name) => `ipv4/conf/*/${name}`),
    ...["accept_ra", "forwarding"].map((name) => `ipv6/conf/*/${name}`),
  ];
  /** But for the pods' own links, which come and go. */
  const settings = (at = node) => sh(`cd /proc/sys/net; grep . ${SETTINGS.join(" ")} | grep -v /hd1/`, at);

  /** On the third node, without a bridge: that plugin turns on forwarding itself, for everything. */
  function chained({ main }: HostDevice) {
    const { cniVersion, name, type, logFile, wireguard } = conf(3);
    return { cniVersion, name, plugins: [main, { type, logFile, wireguard }] };
  }

  test("forwarding that is off is turned on, for what is concerned in IPv4, and off again with the device", async () => {
    const at = mesh.at(3).node;
    const off = "cd /proc/sys/net; echo 0 >ipv4/ip_forward; echo 0 >ipv6/conf/all/forwarding";
    await using device = await hostDevice(at, 3);
    await using _off = await changed(off, off.replaceAll("echo 0", "echo 1"), at);
    const before = await settings(at);
    {
      await using a = await mesh.addedPod(3, "a", chained(device));
      await settled(device, a.pod);
      expect(await a.pod.ping(peer.ip)).toBe(true);
      expect(await a.pod.ping(peer.ip6)).toBe(true);
      const names = ["podvpn0", "hd0", "lo"].map((name) => `conf/${name}/forwarding`);
      expect(await sh(`cd /proc/sys/net/ipv4; cat ${names.join(" ")}`, at)).toBe("1\n1\n0\n");
    }
    expect(await settings(at)).toBe(before);
  });

  test.each([
    { name: "in the main table", wireguard: {} },
    { name: "in a table of its own, with a mark", wireguard: { table: 51820, fwmark: 51820 } },
  ])("rp_filter is strict for all: pods speak all the same, with the routes $name", async ({ wireguard }) => {
    const set = (value: number) => `for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo ${value} >$f; done`;
    await using _strict = await changed(set(1), set(0));
    const before = await settings();
    {
      await using a = await mesh.addedPod(1, "a", conf(1, { wireguard }));
      expect(await a.pod.ping(peer.ip)).toBe(true);
      expect(await peer.pod.ping(a.ip)).toBe(true);
      expect(await sh("cat /proc/sys/net/ipv4/conf/podvpn0/rp_filter /proc/sys/net/ipv4/conf/eth0/rp_filter")).toBe(
        "2\n1\n",
      );
    }
    expect(await settings()).toBe(before);
  });

  test("a node that learns its IPv6 routes from a router goes on doing so when forwarding is turned on", async () => {
    const at = mesh.at(3).node;
    const host = "cd /proc/sys/net/ipv6/conf; echo 0 >all/forwarding; echo 1 >eth0/accept_ra";
    await using device = await hostDevice(at, 3);
    await using _host = await changed(
      host,
      "cd /proc/sys/net/ipv6/conf; echo 1 >all/forwarding; echo 0 >eth0/accept_ra",
      at,
    );
    const seen = () => sh("cd /proc/sys/net/ipv6/conf; cat eth0/accept_ra all/forwarding", at);
    {
      await using a = await mesh.addedPod(3, "a", chained(device));
      await settled(device, a.pod);
      expect(await a.pod.ping(peer.ip6)).toBe(true);
      expect(await seen()).toBe("2\n1\n");
    }
    expect(await seen()).toBe("1\n0\n");
  });

  test("a port that somebody else listens on is named, and nothing stays of the ADD", async () => {
    await using _taken = node.spawn(["socat", "-u", "UDP4-RECV:51833", "STDOUT"]);
    await eventually("socat listens", 5000, async () => (await sh("ss -Huln sport = :51833")) !== "");
    const before = await node.snapshot();
    await using pod = await node.addPod("late");
    const error = await failure(pod.add(conf(1, { wireguard: { listenPort: 51833 } }), BUILT));
    expect(error).toMatchObject({ code: 102, msg: expect.stringContaining("the listen port 51833 is in use") });
    await pod.remove();
    await expectUnchanged(node, before);
  });
});
