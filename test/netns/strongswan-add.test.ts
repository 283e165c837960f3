import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { diffSnapshots } from "../../src/testbed/snapshot.ts";
import { addedPod, BUILT, Cluster, conf, ENCRYPTED, PLAIN, virtualIP, VIRTUAL_SUBNET_6 } from "./support/cluster.ts";

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.create(2);
});
afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
});

describe("a pod of the seed's configuration", () => {
  test("speaks to a pod on another node by virtual IP, and the wire carries no plain packet", async () => {
    await using capture = await cluster.testbed.capture();
    await using a = await addedPod(cluster.node(1), "a");
    await using b = await addedPod(cluster.node(2), "b");
    expect(await a.pod.ping(b.ip, 3)).toBe(true);
    expect(await b.pod.ping(a.ip, 3)).toBe(true);
    await capture.sync();
    expect(await capture.count(ENCRYPTED)).toBeGreaterThanOrEqual(12);
    expect(await capture.count(PLAIN)).toBe(0);
  });
});
