import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  addedPod,
  Cluster,
  type ClusterHub,
  ENCRYPTED,
  HUB_ADDRESS_6,
  PLAIN,
  virtualIP,
} from "../../netns/support/cluster.ts";

import { kernelConf, routedConf } from "../../netns/support/kernel-esp.ts";
import { PodvpnHub } from "../../netns/support/podvpn-hub.ts";

// Pods with ESP in the kernel and in user space, behind hubs of each kind.

type Added = Awaited<ReturnType<typeof addedPod>>;

const HUBS: readonly { hub: string; start: () => Promise<Cluster<ClusterHub>> }[] = [
  { hub: "our hub with kernel ESP", start: () => PodvpnHub.cluster(2, "kernel") },
  { hub: "our hub with ESP in user space", start: () => PodvpnHub.cluster(2, "userspace") },
  { hub: "a stock hub", start: () => Cluster.create(2) },
];

describe.each(HUBS)("behind $hub", ({ start }) => {
  let cluster: Cluster<ClusterHub>;
  let pods: Readonly<Record<"kernel" | "natted" | "overIPv6" | "userspace", Added>>;

  beforeAll(async () => {
    cluster = await start();
    const [one, two] = [cluster.node(1), cluster.node(2)];
    pods = {
      kernel: await addedPod(one, "kernel", await routedConf(cluster, one)),
      natted: await addedPod(two, "natted", kernelConf()),
      overIPv6: await addedPod(one, "over6", kernelConf({ vpn: { serverIP: HUB_ADDRESS_6 } })),
      userspace: await addedPod(two, "userspace", kernelConf({ vpn: { dataplane: "userspace" } })),
    };
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  test("each pod reaches each other, in both families, and the wire carries nothing plain", async () => {
    await using underlay = await cluster.testbed.capture();
    for (const [from, { pod }] of Object.entries(pods)) {
      for (const [to, { result }] of Object.entries(pods)) {
        if (from === to) continue;
        for (const family of [4, 6] as const) {
          expect(await pod.ping(virtualIP(result, family), 2), `${from} reaches ${to} by IPv${family}`).toBe(true);
        }
      }
    }
    await underlay.sync();
    expect(await underlay.count(`${ENCRYPTED} or esp`)).toBeGreaterThanOrEqual(4 * 24);
    expect(await underlay.packets(PLAIN)).toEqual([]);
  });
});
