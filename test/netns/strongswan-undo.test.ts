import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BUILT, Cluster, conf } from "./support/cluster.ts";
import { FaultyPlugin } from "./support/faulty.ts";

let cluster: Cluster;
let plugin: FaultyPlugin;

beforeAll(async () => {
  cluster = await Cluster.create(1);
  plugin = await FaultyPlugin.install(cluster.node());
});
afterAll(() => cluster[Symbol.asyncDispose]());

test("x", async () => {
  const node = cluster.node();
  for (let i = 0; i < 2; i++) {
  const pod = await node.addPod("counted");
  await plugin.takeEffects().catch(() => 0);
  let t = performance.now();
  await pod.add(conf(), plugin.noting);
  console.log(performance.now() - t);
  console.log(await plugin.takeEffects());
  t = performance.now();
  await pod.del(conf(), plugin.noting);
  console.log(performance.now() - t);
  console.log(await plugin.takeEffects());
  await pod.remove();
  t = performance.now();
  await node.snapshot();
  console.log("snap", performance.now() - t);
  }
});
