import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addedPod, type Cluster } from "../../netns/support/cluster.ts";
import { eventually } from "../../netns/support/eventually.ts";
import { firstSa, ipsecOf, kernelConf } from "../../netns/support/kernel-esp.ts";
import { PodvpnHub } from "../../netns/support/podvpn-hub.ts";

// A hub whose kernel does ESP: it goes on for a charon that was killed, so that nobody notices by himself.

let cluster: Cluster<PodvpnHub>;

beforeAll(async () => {
  cluster = await PodvpnHub.cluster(2, "kernel", { dpd: "2s" });
  for (const node of [cluster.hubNode, ...cluster.nodes]) await firstSa(node);
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

describe("a hub that was killed together with its charon", () => {
  test("is known to its pods again within a minute, also to those that never stop sending, with the same virtual IPs", async () => {
    await using one = await addedPod(cluster.node(1), "one", kernelConf());
    await using two = await addedPod(cluster.node(2), "two", kernelConf());
    const before = new Set((await ipsecOf(cluster.hubNode)).spis);
    expect(before.size).toBe(4);
    // In both directions, so that neither pod asks whether the hub lives.
    await using _traffic = one.pod.spawn(["ping", "-n", "-i", "0.2", two.ip]);
    await cluster.hub.down("SIGKILL");
    expect(new Set((await ipsecOf(cluster.hubNode)).spis), "the kernel goes on").toEqual(before);

    await cluster.hub.up();
    const left = (await ipsecOf(cluster.hubNode)).spis.filter((spi) => before.has(spi));
    expect(left, "what the killed charon had").toEqual([]);
    await eventually("the hub knows both pods", 60_000, async () => (await cluster.hub.online()).length === 2);
    await eventually("they reach each other", 10_000, async () => {
      return (await one.pod.exec(["ping", "-n", "-c", "1", "-W", "1", two.ip], { check: false })).code === 0;
    });
    for (const { pod, ip } of [one, two]) {
      expect((await pod.exec(["ip", "-o", "-4", "address", "show", "dev", "eth0"])).stdout).toContain(` ${ip}/32 `);
    }
    expect((await ipsecOf(cluster.hubNode)).spis).toHaveLength(4);
  });
});
