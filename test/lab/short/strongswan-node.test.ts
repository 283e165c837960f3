import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Node } from "../../../src/testbed/node.ts";
import type { Snapshot } from "../../../src/testbed/snapshot.ts";
import { addedPod, BUILT, type Cluster, PLAIN, virtualIP } from "../../netns/support/cluster.ts";
import { ipsecOf, kernelConf, policiesFor } from "../../netns/support/kernel-esp.ts";
import { nodeConf, nodePod, recordOf, vethOf } from "../../netns/support/node-charon.ts";
import { PodvpnHub } from "../../netns/support/podvpn-hub.ts";
import { expectUnchanged } from "../../netns/support/unchanged.ts";

// `attach: node`: one charon on the node, an XFRM interface in each pod.

let cluster: Cluster<PodvpnHub>;
let node: Node;
let empty: Snapshot;

beforeAll(async () => {
  cluster = await PodvpnHub.cluster(2, "kernel");
  node = cluster.node(1);
  const first = await nodePod(node, "first"); // leaves the bridge and the directories
  await first[Symbol.asyncDispose]();
  empty = await node.snapshot();
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

describe("a pod", () => {
  test("has an XFRM interface with its virtual IPs, and no SA, policy or charon of its own", async () => {
    const configuration = nodeConf();
    const pod = await node.addPod("a");
    const result = await pod.add(configuration, BUILT);
    const ips = [virtualIP(result, 4), virtualIP(result, 6)];
    const { shared } = await recordOf(pod);

    for (const device of ["ipsec0", "eth0"]) {
      const { stdout: addresses } = await pod.exec(["ip", "-o", "address", "show", "dev", device]);
      for (const ip of ips) expect(addresses).toMatch(new RegExp(` ${ip}/(?:32|128) `));
    }
    const link = (await pod.exec(["ip", "-d", "link", "show", "ipsec0"])).stdout;
    expect(link).toContain(`if_id 0x${shared.ifId.toString(16)}`);
    expect(link).toContain("mtu 1438");
    expect((await pod.exec(["ip", "route", "get", "10.173.0.77"])).stdout).toMatch(
      new RegExp(`dev ipsec0 .*src ${ips[0]} `),
    );
    expect(await ipsecOf(pod)).toMatchObject({ spis: [], policies: [], blocks: [] });
    const ofNode = await ipsecOf(node);
    expect(ofNode).toMatchObject({ policies: ips.flatMap(policiesFor).sort(), encapsulated: false });
    expect(ofNode.spis).toHaveLength(2);
    await pod.check(configuration, BUILT);

    await pod.del(configuration, BUILT);
    expect(await ipsecOf(node)).toMatchObject({ spis: [], policies: [] });
    await pod.remove();
    await expectUnchanged(node, empty);
    expect(await cluster.hub.online()).toEqual([]);
  });

  test("speaks to pods on its own and on another node, with a charon of their own or not: nothing is plain", async () => {
    await using one = await nodePod(node, "one");
    await using two = await nodePod(node, "two");
    await using other = await nodePod(cluster.node(2), "other");
    await using own = await addedPod(cluster.node(2), "own", kernelConf());
    const veth = await vethOf(one.pod);
    await using underlay = await cluster.testbed.capture();
    await using bridge = await node.capture("cni0");
    await using wire = await node.capture(veth);
    for (const target of [two, other, own]) {
      for (const family of [4, 6] as const) {
        expect(await one.pod.ping(virtualIP(target.result, family))).toBe(true);
        expect(await target.pod.ping(virtualIP(one.result, family))).toBe(true);
      }
    }
    expect(await node.exec(["ping", "-n", "-c", "1", "-W", "5", virtualIP(one.result)])).toMatchObject({ code: 0 });
    for (const capture of [underlay, bridge, wire]) await capture.stop();
    expect(await underlay.packets(PLAIN)).toEqual([]);
    const probe = `host ${virtualIP(one.result)} and net 172.17.1.0/24`; // by the node, over the bridge
    for (const capture of [bridge, wire]) expect(await capture.packets(`(${PLAIN}) and not (${probe})`)).toEqual([]);
    expect((await underlay.packets("esp")).length).toBeGreaterThan(20);
  });
});
