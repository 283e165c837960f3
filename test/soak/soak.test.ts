import { expect, test } from "vitest";
import { generate } from "./support/generate.ts";
import { Machines } from "./support/machines.ts";
import { soakOptions } from "./support/options.ts";
import { Soak } from "./support/soak.ts";
import { speakPlainly, watchWire } from "./support/wire.ts";

const { events, seed } = soakOptions(process.env);

test("what watches the wire sees plain packets of each sort", async () => {
  await using machines = await Machines.create();
  await using wire = await watchWire(machines.mesh.testbed);
  const spoken = await speakPlainly(machines.node(1), machines.node(2));
  await wire.sync();
  expect(await wire.count()).toBeGreaterThanOrEqual(spoken);
});

test(`${events} random events: never anything plain, all pods that can talk do, and nothing is left in the end`, async () => {
  await using soak = await Soak.begin({ events, seed });
  await soak.run(generate(seed, events));
  await soak.end();
});
