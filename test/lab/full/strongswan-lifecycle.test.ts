import { afterAll, beforeAll, expect, test } from "vitest";
import type { Node } from "../../../src/testbed/node.ts";
import type { Snapshot } from "../../../src/testbed/snapshot.ts";
import { addedPod, BUILT, type Cluster } from "../../netns/support/cluster.ts";
import { eventually } from "../../netns/support/eventually.ts";
import { ipsecOf, kernelConf, routedConf } from "../../netns/support/kernel-esp.ts";
import { PodvpnHub } from "../../netns/support/podvpn-hub.ts";
import { expectUnchanged } from "../../netns/support/unchanged.ts";
import { signalCharon } from "../../netns/support/wire.ts";

let cluster: Cluster<PodvpnHub>;
let node: Node;
let empty: Snapshot;

beforeAll(async () => {
  cluster = await PodvpnHub.cluster(1, "kernel");
  node = cluster.node(1);
  for (const configuration of [kernelConf(), await routedConf(cluster, node)]) {
    await using _first = await addedPod(node, "first", configuration); // leaves the bridge and the directories
  }
  empty = await node.snapshot();
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

/** Neither node nor hub has anything of a pod. */
async function expectNothingLeft(): Promise<void> {
  await expectUnchanged(node, empty);
  expect(await cluster.hub.online()).toEqual([]);
  expect(await ipsecOf(cluster.hubNode)).toMatchObject({ spis: [], policies: [] });
}

test.each([
  { name: "behind the node's masquerade", make: async () => kernelConf() },
  { name: "without NAT", make: () => routedConf(cluster, node) },
])("DEL leaves nothing of a pod $name: not in its namespace, not on the node, not on the hub", async ({ make }) => {
  const configuration = await make();
  await using pod = await node.addPod("gone");
  await pod.add(configuration, BUILT);
  const { blocks } = await ipsecOf(pod);
  await pod.del(configuration, BUILT);
  // The guard stays as long as the namespace.
  expect(await ipsecOf(pod)).toEqual({ spis: [], policies: [], blocks, encapsulated: false });
  await pod.remove();
  await expectNothingLeft();
});

test("DEL leaves nothing on the node of a pod whose namespace has gone, and the hub hears of it", async () => {
  const configuration = kernelConf();
  await using pod = await node.addPod("unmounted");
  await pod.add(configuration, BUILT);
  await pod.remove();
  await pod.del(configuration, BUILT);
  await expectNothingLeft();
});

test("DEL leaves nothing on its side of a pod whose charon was killed", async () => {
  const configuration = await routedConf(cluster, node);
  await using pod = await node.addPod("killed");
  await pod.add(configuration, BUILT);
  const { blocks } = await ipsecOf(pod);
  await signalCharon(pod, "SIGKILL");
  await pod.del(configuration, BUILT);
  expect(await ipsecOf(pod)).toEqual({ spis: [], policies: [], blocks, encapsulated: false });
  await pod.remove();
  await expectUnchanged(node, empty);
  await eventually("the hub notices by its dead peer detection", 120_000, async () => {
    return (await cluster.hub.online()).length === 0;
  });
});
