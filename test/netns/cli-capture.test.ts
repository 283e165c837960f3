import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import { Testbed } from "../../src/testbed/testbed.ts";
import {
  arp,
  esp,
  ethernet,
  ipv4,
  ipv6,
  other,
  solicitation,
  tcp,
  udp,
  wireguard,
} from "../unit/capture/support/frames.ts";
import { Eavesdropper, podvpn } from "./support/cli.ts";
import { addedPod, Cluster } from "./support/cluster.ts";
import { eventually } from "./support/eventually.ts";
import { Mesh, podSubnet6 } from "./support/mesh.ts";
import { withoutProgram } from "./support/mounted.ts";

interface Count {
  readonly packets: number;
  readonly bytes: number;
}

interface Result {
  readonly verdict: string;
  readonly interfaces: readonly string[];
  readonly prefixes: readonly string[];
  readonly encrypted: Count & { readonly wireguard: Count; readonly esp: Count; readonly espInUdp: Count };
  readonly plain: Count & { readonly first: readonly Readonly<Record<string, unknown>>[] };
  readonly signalling: Count;
  readonly dropped: number;
}

/** Each is sent as it is. */
async function sendFrames(node: Node, frames: readonly Buffer[]): Promise<void> {
  for (const input of frames) await node.exec(["socat", "-u", "STDIN", "INTERFACE:eth0"], { input });
}

/** Leaves the way to hubs and peers alone, which are on the link. */
async function withoutDefaultRoutes(node: Node): Promise<void> {
  for (const family of ["-4", "-6"]) await node.exec(["ip", family, "route", "del", "default"]);
}

async function hasTcpdump(node: Node): Promise<boolean> {
  return (await node.exec(["pgrep", "-x", "tcpdump"], { check: false })).code === 0;
}

const outer = (transport: ReturnType<typeof udp>) => ipv4("10.9.0.1", "10.9.0.2", transport);
const DATA = outer(udp(51820, 51820, wireguard(4, 96)));

describe("podvpn capture, on a wire with frames of every kind", () => {
  let testbed: Testbed;
  let node: Node;
  beforeAll(async () => {
    testbed = await Testbed.create();
    node = await testbed.node("n1", { addresses: ["10.9.0.1/24", "fd00:9::1/64"] });
    await testbed.node("n2", { addresses: ["10.9.0.2/24", "fd00:9::2/64"] });
  });
  afterAll(() => testbed[Symbol.asyncDispose]());

  const options = ["--interface", "eth0", "--prefix", "10.1.0.0/16", "--prefix", "fd00:1::/48"];

  test("counts what is encrypted, in both families, behind up to two VLAN tags", async () => {
    await using run = await Eavesdropper.start(node, ...options, "--json");
    const data6 = ipv6("fd00:9::1", "fd00:9::2", udp(40000, 51820, wireguard(4, 96)));
    await sendFrames(node, [
      ethernet(DATA),
      ethernet(data6),
      ethernet(DATA, [100]),
      ethernet(data6, [100, 200]),
      ethernet(outer(other(50, esp(0xc0ffee, 100)))),
      ethernet(outer(udp(4500, 4500, esp(0xc0ffee, 100)))),
      ethernet(outer(udp(4500, 4500, esp(0, 100)))),
      ethernet(outer(udp(51820, 51820, wireguard(1, 148)))),
      ethernet(outer(tcp(22, 40000))),
    ]);
    const { how, result } = await run.result<Result>();
    expect(how).toBe("exit status 0");
    expect(result).toMatchObject({
      verdict: "encrypted",
      interfaces: ["eth0"],
      prefixes: ["10.1.0.0/16", "fd00:1::/48"],
      encrypted: { packets: 6, wireguard: { packets: 4 }, esp: { packets: 1 }, espInUdp: { packets: 1 } },
      plain: { packets: 0, first: [] },
      signalling: { packets: 2 },
      dropped: 0,
    });
    expect(result.encrypted.esp.bytes).toBe(14 + 20 + 100);
  });

  test("finds what is plain, behind VLAN tags too, and the questions for such addresses", async () => {
    await using run = await Eavesdropper.start(node, ...options, "--json");
    const plain = ipv4("10.1.0.5", "198.51.100.1", tcp(80, 40000));
    const plain6 = ipv6("2001:db8::1", "fd00:1::5", udp(53, 53, Buffer.alloc(100)));
    await sendFrames(node, [
      ethernet(DATA),
      ethernet(plain),
      ethernet(plain6),
      ethernet(plain, [100]),
      ethernet(plain6, [100, 200]),
      arp("10.9.0.1", "10.1.0.6"),
      arp("10.9.0.1", "10.1.0.7", [100]),
      ethernet(ipv6("fe80::1", "ff02::1:ff00:8", solicitation("fd00:1::8")), [100]),
    ]);
    const { how, result } = await run.result<Result>();
    expect(how).toBe("exit status 1");
    expect(result).toMatchObject({ verdict: "plain", encrypted: { packets: 1 }, plain: { packets: 7 } });
    const shown = result.plain.first.map(({ vlans, protocol, destination, target }) => [
      vlans,
      protocol,
      target ?? destination,
    ]);
    expect(shown).toEqual([
      [[], "TCP", "198.51.100.1"],
      [[], "UDP", "fd00:1::5"],
      [[100], "TCP", "198.51.100.1"],
      [[100, 200], "UDP", "fd00:1::5"],
      [[], "ARP", "10.1.0.6"],
      [[100], "ARP", "10.1.0.7"],
      [[100], "ICMPv6", "fd00:1::8"],
    ]);
  });

  test("sees what comes in with a VLAN tag, which the kernel takes off before", async () => {
    const receiver = testbed.nodes.get("n2");
    if (receiver === undefined) throw new Error("no n2");
    await using run = await Eavesdropper.start(receiver, ...options);
    await sendFrames(node, [
      ethernet(DATA, [100]),
      ethernet(DATA, [100, 200]),
      ethernet(ipv4("10.1.0.5", "10.1.0.6", tcp(80, 40000)), [100]),
      arp("10.9.0.1", "10.1.0.7", [100, 200]),
    ]);
    await run.program.line(/^plain: \S+ eth0 vlan 100 TCP 58 B /, 5000);
    await run.program.line(/^plain: \S+ eth0 vlan 100 vlan 200 ARP \d+ B 10\.9\.0\.1 > 10\.1\.0\.7$/, 5000);
    const { text } = await run.end();
    expect(text).toMatch(/^encrypted in all +2 /m);
  });

  test("shows plain packets while it runs, ten at most, without what they carry", async () => {
    await using run = await Eavesdropper.start(node, ...options);
    const secret = ethernet(ipv4("10.1.0.5", "10.1.0.6", udp(7007, 7007, Buffer.from("a secret"))));
    await sendFrames(node, [secret]);
    await run.program.line(/^plain: \d\d:\d\d:\d\d\.\d{3} eth0 UDP 50 B 10\.1\.0\.5:7007 > 10\.1\.0\.6:7007$/, 5000);
    await sendFrames(
      node,
      Array.from({ length: 10 }, () => secret),
    );
    const { how, text } = await run.end();
    expect(how).toBe("exit status 1");
    expect(text.match(/^plain: /gm)).toHaveLength(10);
    expect(text).toContain("NOT ENCRYPTED: 11 packets (550 B) went in plain.");
    expect(text).not.toContain("secret");
  });

  test("takes handshakes and silence for no proof", async () => {
    await using run = await Eavesdropper.start(node, ...options);
    await sendFrames(node, [ethernet(outer(udp(51820, 51820, wireguard(2, 92))))]);
    const { how, text } = await run.end();
    expect(how).toBe("exit status 3");
    expect(text).toContain("NOTHING PROVED");
    expect(text).toContain("Beside these, 1 packet (134 B) of key exchange");
  });

  test("takes packets that the kernel had to drop for no proof", async () => {
    await using run = await Eavesdropper.start(node, ...options, "--json");
    await sendFrames(node, [ethernet(DATA)]);
    await node.exec(["pkill", "-STOP", "-x", "tcpdump"]);
    await node.exec(["sh", "-c", "head -c 12800000 /dev/zero | socat -u -b 64 STDIN UDP4-SENDTO:10.9.0.2:51820"]);
    await node.exec(["pkill", "-CONT", "-x", "tcpdump"]);
    const { how, result } = await run.result<Result>();
    expect(how).toBe("exit status 3");
    expect(result.verdict).toBe("incomplete");
    expect(result.dropped).toBeGreaterThan(1000);
  });

  test("ends by itself after its time, and leaves nothing running", async () => {
    const result = await podvpn(node, "capture", ...options, "--seconds", "1");
    expect(result).toMatchObject({ code: 3, stderr: expect.stringContaining("on eth0 for 1 s") });
    expect(await hasTcpdump(node)).toBe(false);
  });

  test("takes its tcpdump with it when it is killed", async () => {
    await using run = await Eavesdropper.start(node, ...options);
    expect(await hasTcpdump(node)).toBe(true);
    await run.end("KILL");
    await eventually("tcpdump has ended", 5000, async () => !(await hasTcpdump(node)));
  });

  test("takes the interfaces of the default routes when nothing tells more", async () => {
    await using run = await Eavesdropper.start(node, "--prefix", "10.1.0.0/16", "--json");
    const { result } = await run.result<Result>();
    expect(result.interfaces).toEqual(["eth0"]);
  });

  test("captures on links without Ethernet, and on several at once", async () => {
    await node.exec(["ip", "tuntap", "add", "tun7", "mode", "tun"]);
    await node.exec(["ip", "-batch", "-"], { input: "link set tun7 up\nroute add 10.1.8.0/24 dev tun7\n" });
    await using run = await Eavesdropper.start(node, ...options, "--interface", "tun7", "--json");
    await sendFrames(node, [ethernet(ipv4("10.1.0.5", "10.1.0.6", tcp(1, 2)))]);
    const { result } = await run.result<Result>();
    expect(result.interfaces).toEqual(["eth0", "tun7"]);
    expect(result.plain.packets).toBe(1);
    await node.exec(["ip", "link", "del", "tun7"]);
  });

  test("fails when an interface goes away meanwhile: what it has seen until then is no proof", async () => {
    await node.exec(["ip", "link", "add", "gone", "type", "veth", "peer", "name", "gone2"]);
    await node.exec(["ip", "-batch", "-"], { input: "link set gone up\nlink set gone2 up\n" });
    await using run = await Eavesdropper.start(node, ...options, "--interface", "gone");
    await node.exec(["ip", "link", "del", "gone"]);
    expect(await run.program.ended).toBe("exit status 1");
    expect(run.program.lines.join("\n")).toContain("tcpdump on gone ended before its time");
  });

  test("names an interface that there is not, a node with nothing attached, and a missing tcpdump", async () => {
    const wrong = await podvpn(node, "capture", "--interface", "eth7", "--prefix", "10.1.0.0/16");
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('--interface is "eth7"') });
    expect(wrong.stderr).toContain("give one of lo, eth0");
    const nothing = await podvpn(node, "capture");
    expect(nothing).toMatchObject({ code: 1, stderr: expect.stringContaining("give one with --prefix") });
    await using _mount = await withoutProgram(node, "/usr/bin/tcpdump");
    const missing = await podvpn(node, "capture", ...options);
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining("install it (Debian: tcpdump)") });
  });
});

describe("podvpn capture, on nodes with pods", () => {
  test("proves a WireGuard mesh, and finds what goes past it", async () => {
    await using mesh = await Mesh.create(2);
    const { node } = mesh.at(1);
    await using one = await mesh.addedPod(1, "one");
    await using two = await mesh.addedPod(2, "two");
    await withoutDefaultRoutes(node);
    {
      await using run = await Eavesdropper.start(node, "--json");
      expect(await one.pod.ping(two.ip, 3)).toBe(true);
      expect(await one.pod.ping(two.ip6, 3)).toBe(true);
      const { how, result } = await run.result<Result>();
      expect(how).toBe("exit status 0");
      expect(result).toMatchObject({ interfaces: ["eth0"], plain: { packets: 0 } });
      expect(result.prefixes).toEqual(["10.1.2.0/24", podSubnet6(2)]);
      expect(result.encrypted.wireguard.packets).toBeGreaterThanOrEqual(12);
    }
    // The hole that the guard is there against, made by hand.
    await node.exec(["nft", "flush", "ruleset"]);
    await node.exec(["ip", "route", "add", "10.1.2.0/25", "dev", "eth0"]);
    await using run = await Eavesdropper.start(node);
    await one.pod.ping("10.1.2.77");
    await run.program.line(/^plain: \S+ eth0 (ARP|ICMP) .* > 10\.1\.2\.77$/, 5000);
    expect((await run.end()).how).toBe("exit status 1");
  });

  test("proves tunnels to a hub", async () => {
    await using cluster = await Cluster.create(2);
    await using one = await addedPod(cluster.node(1), "one");
    await using two = await addedPod(cluster.node(2), "two");
    await withoutDefaultRoutes(cluster.node(1));
    await using run = await Eavesdropper.start(cluster.node(1), "--json");
    expect(await one.pod.ping(two.ip, 3)).toBe(true);
    const { how, result } = await run.result<Result>();
    expect(how).toBe("exit status 0");
    expect(result).toMatchObject({ interfaces: ["eth0"], prefixes: ["10.173.0.0/16"], plain: { packets: 0 } });
    expect(result.encrypted.espInUdp.packets).toBeGreaterThanOrEqual(6);
  });
});
