import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Node } from "../../../src/testbed/node.ts";
import { addedPod, BUILT, type Cluster, PLAIN, virtualIP } from "../../netns/support/cluster.ts";
import { failure } from "../../netns/support/failed-add.ts";
import { bareEsp, ipsecOf, kernelConf, policiesFor, routedConf, unanswered } from "../../netns/support/kernel-esp.ts";
import { PodvpnHub } from "../../netns/support/podvpn-hub.ts";
import { signalCharon } from "../../netns/support/wire.ts";

// ESP in the kernel, which the machine that the other rings run on does not have: of pods and of our hub.

type Added = Awaited<ReturnType<typeof addedPod>>;

let cluster: Cluster<PodvpnHub>;
let node: Node;

beforeAll(async () => {
  cluster = await PodvpnHub.cluster(2, "kernel");
  node = cluster.node(1);
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

describe("pods with kernel ESP, with and without NAT, and one with ESP of its own in user space", () => {
  let natted: Added;
  let one: Added;
  let two: Added;
  let userspace: Added;

  beforeAll(async () => {
    const other = cluster.node(2);
    const [routedOne, routedTwo] = [await routedConf(cluster, node), await routedConf(cluster, other)];
    natted = await addedPod(node, "natted", kernelConf());
    one = await addedPod(node, "one", routedOne);
    two = await addedPod(other, "two", routedTwo);
    userspace = await addedPod(other, "userspace", kernelConf({ vpn: { dataplane: "userspace" } }));
  });

  test("have SAs, policies and virtual IPs on eth0 in their own namespace, and nothing of it on the node", async () => {
    const { pod, result } = natted;
    const ips = [virtualIP(result, 4), virtualIP(result, 6)];
    const { stdout: addresses } = await pod.exec(["ip", "-o", "address", "show", "dev", "eth0"]);
    for (const ip of ips) expect(addresses).toMatch(new RegExp(` ${ip}/(?:32|128) `));
    expect((await pod.exec(["ip", "-o", "link"])).stdout).not.toContain("ipsec0");
    const ipsec = await ipsecOf(pod);
    expect(ipsec).toMatchObject({ policies: ips.flatMap(policiesFor).sort(), encapsulated: true });
    expect(ipsec.spis).toHaveLength(2);
    expect(ipsec.blocks).toHaveLength(6);
    expect(await ipsecOf(one.pod)).toMatchObject({ encapsulated: false });
    expect(await ipsecOf(node)).toMatchObject({ spis: [], policies: [], blocks: [] });
    expect((await pod.exec(["ip", "route", "get", "10.173.0.77"])).stdout).toContain(`src ${ips[0]}`);
    expect((await pod.exec(["ip", "route", "show", "table", "220"])).stdout).toContain("mtu 1438");
    await pod.check(kernelConf(), BUILT);
  });

  test("reach each other on a node and across nodes, and the wire carries ESP alone", async () => {
    await using underlay = await cluster.testbed.capture();
    await using bridge = await node.capture("cni2");
    expect(await one.pod.ping(two.ip, 2)).toBe(true);
    expect(await one.pod.ping(natted.ip, 2)).toBe(true);
    expect(await natted.pod.ping(virtualIP(two.result, 6), 2)).toBe(true);
    expect(await userspace.pod.ping(one.ip, 2)).toBe(true);
    expect(await two.pod.ping(virtualIP(userspace.result, 6), 2)).toBe(true);
    expect(await natted.pod.ping(userspace.ip, 2)).toBe(true);
    await Promise.all([underlay.sync(), bridge.sync()]);
    expect(await underlay.count(`esp and host ${bareEsp(one.result)}`)).toBeGreaterThanOrEqual(12);
    expect(await underlay.count(`udp port 4500 and host ${node.address()}`)).toBeGreaterThanOrEqual(12);
    expect(await underlay.packets(PLAIN)).toEqual([]);
    expect(await bridge.packets(PLAIN)).toEqual([]);
  });

  test("have a hub that passes on nothing in plain: to a virtual IP that is not online, nor from outside to a pod", async () => {
    await using underlay = await cluster.testbed.capture(PLAIN);
    for (const absent of ["10.173.9.9", "fd00:173::9:9"]) {
      const { stdout } = await one.pod.tryPing(absent);
      expect(stdout).toMatch(/unreachable|No route to host/i);
    }
    await underlay.sync();
    expect(await underlay.packets()).toEqual([]);

    // From a virtual IP that nobody has, and from one that a pod has, by way of the hub.
    const outside = cluster.node(2);
    await using toPods = await node.capture("cni2", { filter: "esp" });
    const target = one.ip;
    await outside.exec(["ip", "route", "replace", target, "via", cluster.hubNode.address()]);
    for (const source of ["10.173.9.9", userspace.ip]) {
      await outside.exec(["ip", "address", "add", `${source}/32`, "dev", "lo"]);
      const before = await toPods.count();
      expect(await unanswered(outside, target, source)).toBe(true);
      await toPods.sync();
      expect(await toPods.count()).toBe(before);
      await outside.exec(["ip", "address", "del", `${source}/32`, "dev", "lo"]);
    }
    await underlay.sync();
    expect(await underlay.count(`src net 10.173.0.0/16 and dst host ${target}`)).toBeGreaterThan(0);
    await outside.exec(["ip", "route", "del", target]);
  });

  test("go on, encrypted, when their charon is killed", async () => {
    await using underlay = await cluster.testbed.capture();
    await signalCharon(one.pod, "SIGKILL");
    expect(await one.pod.ping(two.ip, 3)).toBe(true);
    expect(await two.pod.ping(virtualIP(one.result, 6), 3)).toBe(true);
    await underlay.sync();
    expect(await underlay.packets(PLAIN)).toEqual([]);
    expect(await failure(one.pod.check(await routedConf(cluster, node), BUILT))).toMatchObject({ code: 108 });
  });

  test.each([
    { what: "state", of: () => natted, name: "its SAs", missing: /ESP SA with SPI [\da-f]{8}/ },
    {
      what: "policy",
      of: () => two,
      name: "all policies, the guard's too",
      missing: /XFRM policy dir out src 10\.173\./,
    },
  ] as const)("send nothing in plain when one loses $name, and CHECK tells", async ({ what, of, missing }) => {
    const { pod } = of();
    const configuration = pod === natted.pod ? kernelConf() : await routedConf(cluster, cluster.node(2));
    await using underlay = await cluster.testbed.capture(PLAIN);
    await pod.exec(["ip", "xfrm", what, "flush"]);
    for (const target of [userspace.ip, virtualIP(userspace.result, 6)]) {
      expect(await unanswered(pod, target)).toBe(true);
      expect(await unanswered(pod, target, "eth0")).toBe(true);
    }
    const error = await failure(pod.check(configuration, BUILT));
    expect(error.code).toBe(108);
    expect(error.msg).toMatch(missing);
    await underlay.sync();
    expect(await underlay.packets()).toEqual([]);
  });

  test("leave nothing of IPsec in their namespace and on the hub at DEL", async () => {
    const configuration = kernelConf({ vpn: { dataplane: "userspace" } });
    await natted.pod.del(kernelConf(), BUILT);
    await userspace.pod.del(configuration, BUILT);
    expect(await ipsecOf(natted.pod)).toMatchObject({ spis: [], policies: [] });
    const hub = await ipsecOf(cluster.hubNode);
    for (const { result } of [natted, userspace]) {
      for (const policy of policiesFor(virtualIP(result, 4))) expect(hub.policies).not.toContain(policy);
    }
  });
});
