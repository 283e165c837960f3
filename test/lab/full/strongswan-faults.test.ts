import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Node } from "../../../src/testbed/node.ts";
import type { Pod } from "../../../src/testbed/pod.ts";
import { echo } from "../../../src/testbed/traffic.ts";
import { addedPod, BUILT, type Cluster, virtualIP } from "../../netns/support/cluster.ts";
import { eventually } from "../../netns/support/eventually.ts";
import { ipsecOf, routedConf } from "../../netns/support/kernel-esp.ts";
import { PodvpnHub } from "../../netns/support/podvpn-hub.ts";
import { signalCharon, Talkers, Wires } from "../../netns/support/wire.ts";

// What only ESP in the kernel can suffer, or survive; without NAT, so that it is ESP as it is. What both data planes
// have in common is in the shared suite (strongswan-plaintext).

let cluster: Cluster<PodvpnHub>;
let node: Node;
let configuration: Awaited<ReturnType<typeof routedConf>>;
/** A pod on the other node, which answers at its virtual IPs. */
let peer: Awaited<ReturnType<typeof addedPod>>;
let peers: string[];

beforeAll(async () => {
  cluster = await PodvpnHub.cluster(2, "kernel");
  node = cluster.node(1);
  // Seconds: on a slow machine a hub that lives may be late, and whoever comes back too early has SAs again.
  const vpn = { dpd: "10s" };
  configuration = await routedConf(cluster, node, { vpn });
  peer = await addedPod(cluster.node(2), "peer", await routedConf(cluster, cluster.node(2), { vpn }));
  await echo(peer.pod);
  peers = [virtualIP(peer.result, 4), virtualIP(peer.result, 6)];
  await using _first = await addedPod(node, "first", configuration); // makes the bridge, to be captured on
  // A bridge without a port that is up sends nothing, also no marker of a capture.
  const port = "ip link add port0 type veth peer name port1; ip link set port0 up master cni2; ip link set port1 up";
  await node.exec(["sh", "-ec", port]);
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

/** A pod with programs that send all the time, also by sockets bound to eth0; nothing may be seen. */
async function talking(name: string, scenario: (pod: Pod, talkers: Talkers) => Promise<void>): Promise<void> {
  await using pod = await node.addPod(name);
  await using wires = await Wires.tap(cluster, node, "cni2");
  await using talkers = await Talkers.start(pod, peers);
  try {
    await pod.add(configuration, BUILT);
    await talkers.areAnswered();
    await scenario(pod, talkers);
  } finally {
    await pod.del(configuration, BUILT);
    await pod.remove();
  }
  await talkers.areSilent();
  await wires.expectNothingPlain();
}

/** DEL and ADD, as a runtime does when CHECK has told. */
async function addedAgain(pod: Pod, talkers: Talkers): Promise<void> {
  await expect(pod.check(configuration, BUILT)).rejects.toMatchObject({ code: 108 });
  await pod.del(configuration, BUILT);
  await pod.add(configuration, BUILT);
  await talkers.areAnswered();
}

describe("nothing of a pod that never stops sending leaves in plain", () => {
  test("when its SAs are deleted under its feet", async () => {
    await talking("stateless", async (pod, talkers) => {
      await pod.exec(["ip", "xfrm", "state", "flush"]);
      await talkers.areSilent();
      await addedAgain(pod, talkers);
    });
  });

  test("when all XFRM policies are flushed, the guard's with charon's", async () => {
    await talking("lawless", async (pod, talkers) => {
      await pod.exec(["ip", "xfrm", "policy", "flush"]);
      await talkers.areSilent();
      await addedAgain(pod, talkers);
    });
  });

  test("when the guard's filter is flushed, and charon ends after that", async () => {
    await talking("unfiltered", async (pod, talkers) => {
      await pod.exec(["nft", "flush", "ruleset"]);
      await talkers.areAnswered();
      await signalCharon(pod, "SIGTERM");
      await talkers.areSilent();
      await addedAgain(pod, talkers);
    });
  });

  test("when its charon is killed: ESP goes on in the kernel, until a second ADD takes over", async () => {
    await talking("orphan", async (pod, talkers) => {
      await signalCharon(pod, "SIGKILL");
      await talkers.areAnswered(100);
      await addedAgain(pod, talkers);
      expect((await ipsecOf(pod)).spis).toHaveLength(2);
    });
  });

  test("when the hub is killed, which goes on in the kernel, and when another one is started", async () => {
    await talking("hubless", async (_pod, talkers) => {
      await cluster.hub.down("SIGKILL");
      await talkers.areAnswered(50);
      await cluster.hub.up();
      await eventually("the hub has both pods again", 120_000, async () => (await cluster.hub.online()).length === 2);
      await talkers.areAnswered();
      await eventually("the hub has no SAs but those of two pods", 30_000, async () => {
        return (await ipsecOf(cluster.hubNode)).spis.length === 4;
      });
    });
  });
});
