import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Bulk } from "../../netns/support/bulk.ts";
import { addedPod, type Cluster, HUB_ADDRESS, HUB_ADDRESS_6, PLAIN, virtualIP } from "../../netns/support/cluster.ts";
import { kernelConf, routedConf } from "../../netns/support/kernel-esp.ts";
import { FRAGMENTS } from "../../netns/support/mesh.ts";
import { PodvpnHub } from "../../netns/support/podvpn-hub.ts";

// Bad paths, and paths with another MTU. Pod to pod there are two tunnels, by way of the hub.

let cluster: Cluster<PodvpnHub>;

beforeAll(async () => {
  cluster = await PodvpnHub.cluster(2, "kernel");
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

/** Two pods on two nodes, and a megabyte each way by TCP, of both inner families. */
async function transferred(name: string, server: string, routed: boolean, links = {}): Promise<void> {
  const overrides = { ...links, vpn: { serverIP: server } };
  const confOf = async (index: number) =>
    routed ? await routedConf(cluster, cluster.node(index), overrides) : kernelConf(overrides);
  await using underlay = await cluster.testbed.capture(`(${FRAGMENTS}) or (${PLAIN})`);
  await using one = await addedPod(cluster.node(1), `${name}-1`, await confOf(1));
  await using two = await addedPod(cluster.node(2), `${name}-2`, await confOf(2));
  for (const family of [4, 6] as const) {
    expect(await Bulk.send(one.pod, two.pod, virtualIP(two.result, family))).toBe("whole");
    expect(await Bulk.send(two.pod, one.pod, virtualIP(one.result, family))).toBe("whole");
  }
  await underlay.sync();
  expect(await underlay.packets()).toEqual([]);
}

const OUTER = [
  { outer: "IPv4", server: HUB_ADDRESS },
  { outer: "IPv6", server: HUB_ADDRESS_6 },
] as const;

describe.each(OUTER)("over an underlay of $outer", ({ outer, server }) => {
  test.each([1280, 1400, 1500, 9000])(
    "with an MTU of %i, a bulk transfer is whole and no packet a fragment",
    async (mtu) => {
      await cluster.testbed.setMtu(mtu);
      try {
        // A bridge has 1500 unless told: only then do pods have room for more.
        const links = mtu > 1500 ? { mtu } : {};
        await transferred(`${outer}-${mtu}`, server, true, links);
        await transferred(`${outer}-${mtu}-nat`, server, false, links);
      } finally {
        await cluster.testbed.setMtu(1500);
      }
    },
  );
});

test.each([
  { name: "loses 3 of 100 packets", netem: ["loss", "3%"] },
  { name: "has a delay that varies", netem: ["delay", "30ms", "20ms"] },
  { name: "puts packets out of order", netem: ["delay", "10ms", "reorder", "75%", "50%"] },
])("a bulk transfer is whole over an underlay that $name", async ({ name, netem }) => {
  const places = [cluster.hubNode, ...cluster.nodes];
  for (const place of places) await place.exec(["tc", "qdisc", "replace", "dev", "eth0", "root", "netem", ...netem]);
  try {
    await transferred(name.replaceAll(/\W/g, ""), HUB_ADDRESS, true);
  } finally {
    for (const place of places) await place.exec(["tc", "qdisc", "del", "dev", "eth0", "root"]);
  }
});
