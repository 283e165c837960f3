import { expect, test } from "vitest";
import { AgentBed } from "../netns/support/agent-bed.ts";
import { generate } from "./support/mesh/generate.ts";
import { PLAIN, PLAIN_SOURCES } from "./support/mesh/mesh.ts";
import { MeshSoak } from "./support/mesh/soak.ts";
import { MESH_DEFAULTS, soakOptions } from "./support/options.ts";
import { speakPlainly, watchWire } from "./support/wire.ts";

const { events, seed } = soakOptions(process.env, MESH_DEFAULTS);

test("what watches the wire of a mesh sees plain packets of each sort", async () => {
  await using bed = await AgentBed.create(2);
  await using wire = await watchWire(bed.testbed, PLAIN);
  const spoken = await speakPlainly(bed.at(1), bed.at(2), PLAIN_SOURCES);
  await wire.sync();
  expect(await wire.count()).toBeGreaterThanOrEqual(spoken);
});

test(`${events} random events in a mesh of agents: never anything plain, nobody else loses a packet, all is told as it is, and nothing is left in the end`, async () => {
  await using soak = await MeshSoak.begin({ events, seed });
  await soak.run(generate(seed, events));
  await soak.end();
});
