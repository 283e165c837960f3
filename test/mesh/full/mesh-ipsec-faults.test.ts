import { connect, type IkeSa } from "vici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { WantedTunnels } from "../../../src/agent/driver.ts";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";
import { echo, PLAIN_PAYLOAD, Sender } from "../../../src/testbed/traffic.ts";
import { DriverBed } from "../../netns/support/driver-bed.ts";
import type { DriverNode } from "../../netns/support/driver-node.ts";
import { reaches, Streams } from "../../netns/support/driver-suite.ts";
import { eventually } from "../../netns/support/eventually.ts";
import { ipsecKind, killMeshCharon, MESH_CHARON } from "../../netns/support/ipsec-kind.ts";
import { PLAIN } from "../../netns/support/mesh.ts";

describe("what may be in the way of IPsec between nodes", () => {
  test("another program has IKE's port: it is told by which command to find it, and the guard is there", async () => {
    await using bed = await DriverBed.create(ipsecKind("userspace"), 2);
    const one = bed.at(1);
    await using _other = one.node.spawn(["socat", "-u", "UDP4-RECV:500", "STDOUT"]);
    await eventually("the port is taken", 5000, async () => {
      return (await one.node.exec(["ss", "-Huln", "sport", "=", ":500"])).stdout !== "";
    });
    await expect(one.apply(bed.wanted(one))).rejects.toThrow(/UDP port 500.*ss -ulpn sport = :500/);
    const { stdout } = await one.node.exec(["nft", "list", "tables"]);
    expect(stdout).toMatch(/podvpn-mesh-podvpn-esp0/);
    expect(await one.pod.ping(bed.at(2).ips[0] ?? "")).toBe(false);
    await one.remove();
  });

  test("a record that charon does not take is in the way of that peer alone", async () => {
    await using bed = await DriverBed.create(ipsecKind("userspace"), 3);
    const [one, two, three] = [bed.at(1), bed.at(2), bed.at(3)];
    const { ipsec } = three.record;
    if (ipsec === undefined) throw new TypeError("n3 has no key");
    three.record = { ...three.record, ipsec: { ...ipsec, publicKey: "bm8ga2V5" } };
    const applied = await Promise.all([one, two].map((node) => node.apply(bed.wanted(node))));
    expect(applied[0]?.obstacles).toEqual([
      expect.stringMatching(/^no tunnel to n3: charon refuses it .*correct its record$/),
    ]);
    await reaches(one, two);
  });

  test("an agent that is killed at any step of its first apply: the next one finishes it, and nothing is plain", async () => {
    await using bed = await DriverBed.create(ipsecKind("userspace"), 2);
    await using capture = await bed.testbed.capture(PLAIN);
    const [one, two] = [bed.at(1), bed.at(2)];
    await two.apply(bed.wanted(two));
    await one.effects();
    await one.apply(bed.wanted(one));
    const count = (await one.effects()).length;
    expect(count).toBeGreaterThan(20);
    await one.remove();
    for (let step = 1; step <= count; step += 5) {
      await one.stop();
      await one.start({ PODVPN_KILL_AFTER: String(step) });
      await expect(one.apply(bed.wanted(one)), `killed after step ${step}`).rejects.toThrow();
      await one.start();
      await one.apply(bed.wanted(one));
      await reaches(one, two);
      await one.remove();
      const { stdout } = await one.node.exec([
        "sh",
        "-c",
        "ip rule; ip route show table all proto 174; nft list tables; ls /run/podvpn",
      ]);
      expect(stdout).not.toMatch(/17400|174|podvpn-|mesh/);
    }
    await capture.sync();
    expect(await capture.packets(PLAIN)).toEqual([]);
  });
});

describe("IPsec between nodes", () => {
  let bed: DriverBed;
  const [one, two] = [() => bed.at(1), () => bed.at(2)];

  beforeAll(async () => {
    bed = await DriverBed.create(ipsecKind("userspace"), 3);
    for (const { pod } of bed.nodes.values()) await echo(pod);
    await bed.applyAll();
    await reaches(one(), two());
    await reaches(one(), bed.at(3));
  });
  afterAll(async () => bed?.[Symbol.asyncDispose]());

  test("a tunnel that somebody ends is made anew", async () => {
    await using vici = await connect({ path: one().node.path(`${MESH_CHARON}/vici`), timeout: 10_000 });
    const before = await sas(one());
    for (const { uniqueid } of before) await vici.terminate({ ikeId: uniqueid, force: true, timeout: 1000 });
    const { altered } = await one().apply(bed.wanted(one()));
    expect(altered).toEqual(["n2", "n3"]);
    await reaches(one(), two());
    await reaches(one(), bed.at(3));
  });

  test("a peer whose charon is killed and back is reached again, though it is not the one to begin", async () => {
    await using sender = await Sender.start(one().pod, two().ips[0] ?? "", 100);
    await sender.answers(20, 20_000);
    await killMeshCharon(two().node);
    await applyUntilQuiet(two());
    await sender.answers(20, 20_000);
    expect((await sas(two())).some(({ initiator, remoteId }) => initiator && remoteId === "n1.example")).toBe(true);
    await bed.applyAll();
  });

  test("a gateway carries what is behind it, though it has no address there; and what another takes over goes that way", async () => {
    const behind = [prefix("10.1.77.0/24"), prefix("fd00:1:77::/64")];
    const toGateway = carrying(one(), "n2", behind, "remote");
    const asGateway = (gateway: DriverNode) => carrying(gateway, "n1", behind, "local");
    await two().node.exec(["ip", "address", "add", "10.1.77.7/32", "dev", "lo"]);
    await two().node.exec(["ip", "address", "add", "fd00:1:77::7/128", "dev", "lo"]);
    await Promise.all([one().apply(toGateway), two().apply(asGateway(two()))]);
    await applyUntilQuiet(one(), toGateway);
    await applyUntilQuiet(two(), asGateway(two()));
    for (const ip of ["10.1.77.7", "fd00:1:77::7"]) {
      await eventually(`${ip} is reached`, 20_000, () => one().pod.ping(ip));
    }
    // n2 is dead, and n3 stands for what is behind.
    await two().node.setUnderlay(false);
    const three = bed.at(3);
    await three.node.exec(["ip", "address", "add", "10.1.77.7/32", "dev", "lo"]);
    const toThree = carrying(one(), "n3", behind, "remote");
    await Promise.all([one().apply(toThree), three.apply(asGateway(three))]);
    await eventually("10.1.77.7 is reached the other way", 20_000, async () => {
      await one().apply(toThree);
      await three.apply(asGateway(three));
      return await one().pod.ping("10.1.77.7");
    });
    await two().node.setUnderlay(true);
    await two().node.exec(["ip", "address", "del", "10.1.77.7/32", "dev", "lo"]);
    await two().node.exec(["ip", "address", "del", "fd00:1:77::7/128", "dev", "lo"]);
    await three.node.exec(["ip", "address", "del", "10.1.77.7/32", "dev", "lo"]);
    await bed.applyAll();
    await reaches(one(), two());
  });

  test("an underlay with room for less has smaller packets in its tunnels", async () => {
    await bed.testbed.setMtu(1340);
    await bed.applyAll();
    const state = await one().observe();
    expect(state?.tunnels.map(({ mtu }) => mtu)).toEqual([1280, 1280].map(() => expect.any(Number)));
    const mtu = state?.tunnels[0]?.mtu ?? 0;
    expect(mtu).toBeLessThan(1340 - 50);
    const ping = (size: number) =>
      one().pod.exec(["ping", "-c", "1", "-W", "2", "-M", "do", "-s", String(size - 28), two().ips[0] ?? ""], {
        check: false,
      });
    await eventually("the largest packet passes", 10_000, async () => (await ping(mtu)).code === 0);
    expect((await ping(mtu + 1)).code).not.toBe(0);
    await bed.testbed.setMtu(1500);
    await bed.applyAll();
  });

  test("a prefix that comes costs the tunnel that gets it no packet", async () => {
    await using capture = await bed.testbed.capture(PLAIN);
    await using streams = await Streams.start([[one(), two()]]);
    const { podPrefixes } = two().record;
    for (const more of [[prefix("10.1.42.0/24")], [], [prefix("10.1.43.0/24")], []]) {
      two().record = { ...two().record, podPrefixes: [...podPrefixes, ...more] };
      await bed.applyAll();
    }
    await streams.expectNothingLost();
    await capture.sync();
    expect(await capture.carries(PLAIN_PAYLOAD)).toBe(false);
  });

  async function applyUntilQuiet(node: DriverNode, wanted: WantedTunnels = bed.wanted(node)): Promise<void> {
    for (;;) {
      const { again } = await node.apply(wanted);
      if (again === undefined) return;
      await new Promise((resolve) => setTimeout(resolve, again));
    }
  }

  /** What is wanted of a node, with more behind itself or behind a peer. */
  function carrying(
    node: DriverNode,
    peer: string,
    behind: readonly Prefix[],
    side: "local" | "remote",
  ): WantedTunnels {
    const wanted = bed.wanted(node);
    const key = side === "local" ? "localPrefixes" : "prefixes";
    const tunnels = wanted.tunnels.map((tunnel) =>
      tunnel.peer.name === peer
        ? { ...tunnel, peer: { ...tunnel.peer, [key]: [...tunnel.peer[key], ...behind] } }
        : tunnel,
    );
    return { ...wanted, tunnels };
  }
});

async function sas({ node }: DriverNode): Promise<IkeSa[]> {
  await using vici = await connect({ path: node.path(`${MESH_CHARON}/vici`), timeout: 10_000 });
  const all: IkeSa[] = [];
  for await (const sa of vici.listSas()) all.push(sa);
  return all;
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}
