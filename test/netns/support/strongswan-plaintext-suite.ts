import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DataPlane } from "../../../src/ipsec/strongswan-conf.ts";
import { Capture } from "../../../src/testbed/capture.ts";
import type { Node } from "../../../src/testbed/node.ts";
import type { Pod } from "../../../src/testbed/pod.ts";
import { echo, PLAIN_PAYLOAD } from "../../../src/testbed/traffic.ts";
import { BRIDGE_ONLY } from "./bridge-only.ts";
import {
  addedPod,
  BUILT,
  Cluster,
  type ClusterHub,
  ENCRYPTED,
  PLAIN,
  VIRTUAL_SUBNET,
  VIRTUAL_SUBNET_6,
  virtualIP,
} from "./cluster.ts";
import { DUAL_STACK } from "./dual-stack.ts";
import { eventually } from "./eventually.ts";
import { FaultyPlugin } from "./faulty.ts";
import { Gate, HELD } from "./gate.ts";
import { HUB_VIRTUAL, PodvpnHub } from "./podvpn-hub.ts";
import { BOUND_PAYLOAD, Receiver, signalCharon, spoof, Talkers, Wires } from "./wire.ts";

/** A bridge without a port that is up sends nothing, also no marker of a capture. */
const EMPTY_PORT =
  "ip link add port0 type veth peer name port1; ip link set port0 up master cni0; ip link set port1 up";

/**
 * Nothing of a virtual subnet is on any wire in plain, whatever happens to pod, node and hub; with either data plane. Pods
 * are behind their node's masquerade, as they are with the seed's configuration.
 */
export function strongswanPlaintextSuite(plane: DataPlane): void {
  const CONF = { ...DUAL_STACK, vpn: { ...DUAL_STACK.vpn, dataplane: plane } };
  let cluster: Cluster<ClusterHub>;
  let node: Node;
  /** A pod on the other node, which answers at its virtual IPs. */
  let peer: Awaited<ReturnType<typeof addedPod>>;
  let peers: string[];

  beforeAll(async () => {
    cluster = plane === "userspace" ? await Cluster.create(3) : await PodvpnHub.cluster(3, plane);
    node = cluster.node(1);
    peer = await addedPod(cluster.node(2), "peer", CONF);
    await echo(peer.pod);
    peers = [virtualIP(peer.result, 4), virtualIP(peer.result, 6)];
    await using _first = await addedPod(node, "first", CONF); // makes the bridge, to be captured on
    await node.exec(["sh", "-ec", EMPTY_PORT]);
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  /** A pod with programs that send from before `scenario` until after the end of its namespace; nothing may be seen. */
  async function talking(
    name: string,
    scenario: (pod: Pod, talkers: Talkers, wires: Wires) => Promise<void>,
    targets: readonly string[] = peers,
  ): Promise<void> {
    await using pod = await node.addPod(name);
    await using wires = await Wires.tap(cluster, node, "cni0");
    await using talkers = await Talkers.start(pod, targets);
    try {
      await scenario(pod, talkers, wires);
    } finally {
      await pod.del(CONF, BUILT);
      await pod.remove();
    }
    await talkers.areSilent();
    await wires.expectNothingPlain();
  }

  describe("control", () => {
    test("without the plugin the same packets are on the wire in plain", async () => {
      await using pod = await cluster.node(3).addPod("open");
      await pod.add(BRIDGE_ONLY, BUILT);
      await using wires = await Wires.tap(cluster, cluster.node(3), "cni1");
      await using talkers = await Talkers.start(pod, peers);
      await talkers.areSilent();
      for (const capture of [wires.underlay, wires.bridge]) {
        for (const family of [`dst net ${VIRTUAL_SUBNET}`, `dst net ${VIRTUAL_SUBNET_6}`]) {
          await capture.sync();
          expect(await capture.count(`udp and ${family}`)).toBeGreaterThan(10);
          expect(await capture.count(`(icmp or icmp6) and ${family}`)).toBeGreaterThan(3);
        }
        expect(await capture.carries(PLAIN_PAYLOAD)).toBe(true);
        expect(await capture.carries(BOUND_PAYLOAD)).toBe(true);
      }
      await pod.del(BRIDGE_ONLY, BUILT);
    });
  });

  describe("nothing of a pod that never stops sending leaves in plain", () => {
    test("during ADD, traffic, DEL and after", async () => {
      await talking("quiet", async (pod, talkers, wires) => {
        await pod.add(CONF, BUILT);
        await talkers.areAnswered(100);
        await pod.del(CONF, BUILT);
        await talkers.areSilent();
        await wires.underlay.sync();
        expect(await wires.underlay.count(ENCRYPTED)).toBeGreaterThan(400);
      });
    });

    test("while the bridge makes the link, however long that takes: the guard is there before it", async () => {
      const gate = await Gate.install(node, HELD.bridge);
      await talking("waiting", async (pod, talkers) => {
        const add = pod.add(CONF, gate.before(BUILT));
        await gate.held();
        expect((await pod.exec(["nft", "list", "tables"])).stdout).toContain("table inet podvpn-eth0");
        await talkers.areSilent(100);
        await gate.open();
        await add;
        await talkers.areAnswered();
      });
    });

    test.each(["SIGKILL", "SIGTERM"] as const)("when charon is ended by %s", async (signal) => {
      await talking(`charon-${signal.toLowerCase()}`, async (pod, talkers) => {
        await pod.add(CONF, BUILT);
        await talkers.areAnswered();
        await signalCharon(pod, signal);
        await talkers.areSilent();
      });
    });

    test("when the node's cable is pulled, and when it is back", async () => {
      await talking("cable", async (pod, talkers) => {
        await pod.add(CONF, BUILT);
        await talkers.areAnswered();
        await node.setUnderlay(false);
        try {
          await talkers.areSilent();
        } finally {
          await node.setUnderlay(true);
        }
        await talkers.areAnswered();
      });
    });

    test.each([
      { name: "a hub that refuses", vpn: { PSK: "not the PSK of the hub" }, code: 105 },
      { name: "a hub that is silent", vpn: { serverIP: "10.9.0.99", timeout: "2s" }, code: 104 },
    ])("during an ADD that fails with $name, and in its namespace after that", async ({ vpn, code }) => {
      await talking("refused", async (pod, talkers) => {
        const refused = { ...CONF, vpn: { ...CONF.vpn, ...vpn } };
        await expect(pod.add(refused, BUILT)).rejects.toMatchObject({ code });
        await talkers.areSilent();
      });
    });

    test("after DEL, when the namespace stays and gets another link with a default route", async () => {
      await talking("kept", async (pod, talkers) => {
        await pod.add(CONF, BUILT);
        await talkers.areAnswered();
        await pod.del(CONF, BUILT);
        // Over the captured bridge, and by the name to which programs are bound.
        const bridgeOnly = { ...BRIDGE_ONLY, bridge: "cni0", ipam: CONF.ipam };
        await pod.add(bridgeOnly, BUILT);
        await talkers.areSilent();
        await pod.del(bridgeOnly, BUILT);
      });
    });
  });

  test("the guard is whole before the bridge is asked for a link", async () => {
    const plugin = await FaultyPlugin.install(node);
    await using pod = await node.addPod("ordered");
    const effects = await plugin.effects((options) => pod.add(CONF, options));
    await pod.del(CONF, BUILT);
    const first = (pattern: RegExp) => effects.findIndex((effect) => pattern.test(effect));
    for (const part of [/^add the IPv4 rule 221/, /^add the IPv6 rule 221/, /^make the nft table inet podvpn-eth0/]) {
      expect(first(part)).toBeGreaterThanOrEqual(0);
      expect(first(part)).toBeLessThan(first(/^spawn .*bridge/));
    }
  });

  describe("nothing for a virtual IP of another node leaves in plain", () => {
    test("from the node itself, nor from a pod of another network on it", async () => {
      await using _pod = await addedPod(node, "resident", CONF);
      await using open = await node.addPod("open");
      await open.add(BRIDGE_ONLY, BUILT);
      await using capture = await cluster.testbed.capture(PLAIN);
      await using ofNode = await Talkers.unbound(node, peers);
      await using ofPod = await Talkers.start(open, peers);
      await ofNode.areSilent();
      await ofPod.areSilent();
      await capture.sync();
      expect(await capture.packets()).toEqual([]);
      for (const sender of ofNode.senders) {
        const { tried, sent, refused } = await sender.counts();
        expect(tried).toBeGreaterThan(50);
        expect(sent).toBe(0);
        expect(refused.EHOSTUNREACH ?? refused.ENETUNREACH).toBeGreaterThan(50);
      }
      await open.del(BRIDGE_ONLY, BUILT);
    });
  });

  describe("nothing of a pod that never stops sending leaves in plain when the hub", () => {
    /** Its own addresses: unlike those of pods, the same after a restart of a stock hub. */
    const HUB = plane === "userspace" ? ["10.173.255.254", "fd00:173::ffff"] : Object.values(HUB_VIRTUAL);

    beforeAll(async () => {
      await echo(cluster.hubNode);
    });

    test.each(["SIGKILL", "SIGTERM"] as const)("is ended by %s, and when it is back", async (signal) => {
      await talking(
        `hub-${signal.toLowerCase()}`,
        async (pod, talkers, wires) => {
          await pod.add(CONF, BUILT);
          await talkers.areAnswered();
          await cluster.hub.down(signal);
          await talkers.areSilent();
          await cluster.hub.up();
          await talkers.areAnswered();
          await wires.underlay.sync();
          expect(await wires.underlay.count(ENCRYPTED)).toBeGreaterThan(150);
        },
        HUB,
      );
    });
  });

  describe("a plain packet with a virtual source address", () => {
    /** Asked for, so that the attack can begin before ADD. */
    const LINK = { 4: "172.17.1.77", 6: "fd00:172:17:1::77" } as const;
    const TARGET = { ...CONF, args: { cni: { ips: Object.values(LINK) } } };
    const SPOOFED = { 4: "10.173.77.7", 6: "fd00:173::777" } as const;

    test("is never accepted: not from the underlay, not from the same bridge, with and without a charon", async () => {
      const outside = cluster.node(3);
      await using inside = await node.addPod("inside");
      const bridgeOnly = { ...BRIDGE_ONLY, bridge: "cni0", ipam: CONF.ipam };
      await inside.add(bridgeOnly, BUILT);
      await using pod = await node.addPod("target");
      await using receiver = await Receiver.start(pod);
      for (const family of [4, 6] as const) {
        await spoof(inside, SPOOFED[family], LINK[family]);
        await spoof(outside, SPOOFED[family], LINK[family], node.address(family));
      }
      await using attack = await Talkers.unbound(outside, Object.values(LINK));
      await using insideAttack = await Talkers.unbound(inside, Object.values(LINK));

      const result = await pod.add(TARGET, BUILT);
      const targets = [...Object.values(LINK), virtualIP(result, 4), virtualIP(result, 6)];
      for (const family of [4, 6] as const) {
        await spoof(outside, SPOOFED[family], virtualIP(result, family), node.address(family));
      }
      await using virtualAttack = await Talkers.unbound(outside, [virtualIP(result, 4), virtualIP(result, 6)]);
      const attacks = [attack, insideAttack, virtualAttack];
      const arrive = async () => {
        await using capture = await Capture.start(pod, "eth0");
        for (const talkers of attacks) await talkers.areSilent();
        await capture.sync();
        for (const target of targets) {
          const spoofed = `udp and (src host ${SPOOFED[4]} or src host ${SPOOFED[6]}) and dst host ${target}`;
          expect(await capture.count(spoofed)).toBeGreaterThan(20);
        }
      };
      await arrive();
      expect(receiver.bytes).toBe(0);

      // The same addresses by the tunnel are genuine.
      await using genuine = await Talkers.unbound(peer.pod, [virtualIP(result, 4), virtualIP(result, 6)]);
      await eventually("what comes by the tunnel is accepted", 5000, () => receiver.bytes > 0);
      await genuine[Symbol.asyncDispose]();

      await signalCharon(pod, "SIGKILL");
      const before = receiver.bytes;
      await arrive();
      expect(receiver.bytes).toBe(before);

      // Not the way there, but the source address is what was refused.
      for (const family of [4, 6] as const) {
        await outside.exec(["ip", "route", "replace", LINK[family], "via", node.address(family), "dev", "eth0"]);
      }
      await eventually("an honest source is accepted", 5000, () => receiver.bytes > before);
      await pod.del(TARGET, BUILT);
      await inside.del(bridgeOnly, BUILT);
    });
  });
}
