import { connect } from "vici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { POD_CHILD } from "../../../src/ipsec/connection.ts";
import type { Node } from "../../../src/testbed/node.ts";
import type { Pod } from "../../../src/testbed/pod.ts";
import { echo, Sender } from "../../../src/testbed/traffic.ts";
import { BUILT, type Cluster, virtualIP } from "../../netns/support/cluster.ts";
import { eventually } from "../../netns/support/eventually.ts";
import { HUB_DIRECTORY } from "../../netns/support/hub.ts";
import { ipsecOf } from "../../netns/support/kernel-esp.ts";
import {
  NODE_CHARON,
  nodeCharonPid,
  nodeConf,
  nodePod,
  nodeSas,
  nodeVici,
  signalNodeCharon,
  tunnelOf,
} from "../../netns/support/node-charon.ts";
import { PodvpnHub } from "../../netns/support/podvpn-hub.ts";
import { Talkers, Wires } from "../../netns/support/wire.ts";

// What may happen to pods whose tunnels one charon holds, to it, and to their hub: nothing of them is ever seen in plain.

let cluster: Cluster<PodvpnHub>;
let node: Node;
/** A pod on the other node, which answers at its virtual IPs. */
let peer: Awaited<ReturnType<typeof nodePod>>;
let peers: string[];

beforeAll(async () => {
  cluster = await PodvpnHub.cluster(2, "kernel");
  node = cluster.node(1);
  peer = await nodePod(cluster.node(2), "peer");
  await echo(peer.pod);
  peers = [virtualIP(peer.result, 4), virtualIP(peer.result, 6)];
  await using _first = await nodePod(node, "first"); // makes the bridge, to be captured on
  // A bridge without a port that is up sends nothing, also no marker of a capture.
  const port = "ip link add port0 type veth peer name port1; ip link set port0 up master cni0; ip link set port1 up";
  await node.exec(["sh", "-ec", port]);
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

interface Talking {
  readonly pod: Pod;
  readonly talkers: Talkers;
  readonly ips: readonly string[];
}

/** A pod with programs that send all the time, also by sockets bound to eth0; nothing may be seen. */
async function talking(name: string, scenario: (talking: Talking) => Promise<void>): Promise<void> {
  const configuration = nodeConf();
  await using pod = await node.addPod(name);
  await using wires = await Wires.tap(cluster, node, "cni0");
  await using talkers = await Talkers.start(pod, peers);
  try {
    const result = await pod.add(configuration, BUILT);
    await talkers.areAnswered();
    await scenario({ pod, talkers, ips: [virtualIP(result, 4), virtualIP(result, 6)] });
  } finally {
    await pod.del(configuration, BUILT);
    await pod.remove();
  }
  await talkers.areSilent();
  await wires.expectNothingPlain();
}

/** Each pod of the node has its two SAs, and there is no other. */
async function expectOnly(pods: number): Promise<void> {
  const { spis } = await ipsecOf(node);
  const journal = await node.exec(
    ["sh", "-c", `cat ${NODE_CHARON}/recovery.json; tail -40 ${NODE_CHARON}/charon.log`],
    {
      check: false,
    },
  );
  expect(spis, journal.stdout).toHaveLength(2 * pods);
}

describe("the node's charon", () => {
  test("that is killed cuts nobody off; CHECK tells, and has started it again with all tunnels as they were", async () => {
    await using quiet = await nodePod(node, "quiet");
    await talking("orphan", async ({ pod, talkers, ips }) => {
      await signalNodeCharon(node, "SIGKILL");
      await talkers.areAnswered(50);
      await expect(quiet.pod.check(nodeConf(), BUILT)).rejects.toMatchObject({
        code: 108,
        msg: expect.stringContaining("the node's charon did not run"),
      });
      const sas = await nodeSas(node);
      expect(sas.map(({ state }) => state)).toEqual(["ESTABLISHED", "ESTABLISHED"]);
      const wanted = [...ips, virtualIP(quiet.result, 4), virtualIP(quiet.result, 6)];
      expect(sas.flatMap(({ localVips }) => localVips).sort()).toEqual(wanted.sort());
      await expectOnly(2);
      await talkers.areAnswered(50);
      for (const each of [pod, quiet.pod]) await each.check(nodeConf(), BUILT);
      expect(await quiet.pod.ping(peers[0] ?? "")).toBe(true);
    });
  });

  test("that is killed is started again by the ADD of another pod, which loses next to nothing of the first", async () => {
    await using old = await nodePod(node, "old");
    await using sender = await Sender.start(old.pod, peers[0] ?? "", 50);
    await sender.answers(20, 10_000);
    await signalNodeCharon(node, "SIGKILL");
    await using added = await nodePod(node, "added");
    await expectOnly(2);
    const { lost, tried } = await sender.answers(50, 10_000);
    expect(lost).toBeLessThan(Math.max(15, tried / 20));
    for (const each of [old, added]) {
      expect(await each.pod.ping(peers[0] ?? "")).toBe(true);
      await each.pod.check(nodeConf(), BUILT);
    }
  });

  test("that hangs is replaced by the next ADD, and its pods are back", async () => {
    await using stuck = await nodePod(node, "stuck");
    const pid = await nodeCharonPid(node);
    await signalNodeCharon(node, "SIGSTOP");
    await using added = await nodePod(node, "next");
    expect(await nodeCharonPid(node)).not.toBe(pid);
    expect((await node.exec(["kill", "-0", pid], { check: false })).code).not.toBe(0);
    await expectOnly(2);
    for (const each of [stuck, added]) expect(await each.pod.ping(peers[0] ?? "")).toBe(true);
  });

  test("that is dead, or hangs, when the last pod goes leaves nothing behind", async () => {
    for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
      const last = await nodePod(node, `last${signal}`);
      await signalNodeCharon(node, signal);
      await last[Symbol.asyncDispose]();
      expect(await ipsecOf(node)).toMatchObject({ spis: [], policies: [] });
      expect((await node.exec(["ls", "/run/podvpn"])).stdout).not.toContain("charon");
      expect((await node.exec(["pgrep", "charon"], { check: false })).stdout).toBe("");
    }
  });

  test("brings its pods back when the hub has been away for longer than it waits", async () => {
    await talking("patient", async ({ pod, talkers }) => {
      await signalNodeCharon(node, "SIGKILL");
      await cluster.hub.down("SIGTERM");
      await expect(pod.check(nodeConf(), BUILT)).rejects.toMatchObject({ code: 108 });
      await talkers.areSilent();
      await cluster.hub.up();
      await talkers.areAnswered(20, 60_000);
      await eventually("CHECK finds nothing to complain of", 60_000, async () => {
        return await pod.check(nodeConf(), BUILT).then(
          () => true,
          () => false,
        );
      });
      await expectOnly(1);
    });
  });
});

describe("nothing of a pod that never stops sending leaves in plain", () => {
  test("when the hub ends its SA; it comes back by itself", async () => {
    await talking("unwanted", async ({ talkers, ips }) => {
      const { name } = await tunnelOf(node, ips[0] ?? "");
      const before = (await tunnelOf(node, ips[0] ?? "")).uniqueid;
      await using hub = await connect({ path: cluster.hubNode.path(`${HUB_DIRECTORY}/vici`), timeout: 60_000 });
      for await (const sa of hub.listSas()) {
        if (sa.remoteVips.includes(ips[0] ?? ""))
          await hub.terminate({ ikeId: sa.uniqueid, force: true, timeout: 5000 });
      }
      await eventually("there is a new SA", 60_000, async () => {
        return (await nodeSas(node)).some((sa) => sa.name === name && sa.uniqueid !== before && sa.childSas.length > 0);
      });
      await talkers.areAnswered();
    });
  });

  test("when its SAs and policies are flushed on the node", async () => {
    await talking("lawless", async ({ pod, talkers }) => {
      await node.exec(["ip", "xfrm", "state", "flush"]);
      await node.exec(["ip", "xfrm", "policy", "flush"]);
      await talkers.areSilent();
      await expect(pod.check(nodeConf(), BUILT)).rejects.toMatchObject({
        code: 108,
        msg: expect.stringContaining("ESP SA with SPI"),
      });
      await pod.del(nodeConf(), BUILT);
      await pod.add(nodeConf(), BUILT);
      await talkers.areAnswered();
    });
  });

  test("when the pod deletes its XFRM interface; CHECK tells", async () => {
    await talking("careless", async ({ pod, talkers }) => {
      await pod.exec(["ip", "link", "delete", "ipsec0"]);
      await talkers.areSilent();
      await expect(pod.check(nodeConf(), BUILT)).rejects.toMatchObject({
        code: 108,
        msg: expect.stringContaining("XFRM interface ipsec0"),
      });
    });
    await expectOnly(0);
  });

  test("when the namespace of the pod is removed before DEL", async () => {
    await using wires = await Wires.tap(cluster, node, "cni0");
    const pod = await node.addPod("vanished");
    await pod.add(nodeConf(), BUILT);
    await pod.remove();
    await pod.del(nodeConf(), BUILT);
    await expectOnly(0);
    await wires.expectNothingPlain();
  });
});

describe("a pod loses nothing of what it sends", () => {
  test.each([
    { what: "the CHILD_SA", select: (_name: string) => ({ child: POD_CHILD }) },
    { what: "the IKE_SA", select: (name: string) => ({ ike: name }) },
  ])("when $what is replaced", async ({ what, select }) => {
    await using pod = await nodePod(node, what.replaceAll(/\W/g, ""));
    await using sender = await Sender.start(pod.pod, peers[0] ?? "", 50);
    await using vici = await nodeVici(node);
    for (let round = 0; round < 3; round += 1) {
      await sender.answers(20, 10_000);
      const before = await tunnelOf(node, virtualIP(pod.result));
      await vici.rekey(select(before.name));
      await eventually("there is one new SA", 20_000, async () => {
        const now = (await nodeSas(node)).filter(({ name }) => name === before.name);
        const children = now.flatMap(({ childSas }) => childSas).filter(({ state }) => state !== "DELETED");
        const other =
          what === "the IKE_SA"
            ? now[0]?.uniqueid !== before.uniqueid
            : children[0]?.spiIn !== before.childSas[0]?.spiIn;
        return now.length === 1 && children.length === 1 && other;
      });
    }
    await sender.answers(50, 10_000);
    await eventually("every datagram is answered", 5000, async () => (await sender.counts()).lost === 0);
    expect((await sender.counts()).refused).toEqual({});
    // charon keeps the incoming one of a replaced CHILD_SA for some seconds, for packets that are late.
    await eventually("the replaced ones are gone", 20_000, async () => (await ipsecOf(node)).spis.length === 2);
  });

  test("when other pods of its node come and go", async () => {
    await using pod = await nodePod(node, "steady");
    await using sender = await Sender.start(pod.pod, peers[0] ?? "", 50);
    await sender.answers(20, 10_000);
    for (const name of ["fleeting1", "fleeting2"]) {
      const other = await nodePod(node, name);
      expect(await other.pod.ping(peers[0] ?? "")).toBe(true);
      await other[Symbol.asyncDispose]();
    }
    await sender.answers(50, 10_000);
    await eventually("every datagram is answered", 5000, async () => (await sender.counts()).lost === 0);
    await expectOnly(1);
  });
});
