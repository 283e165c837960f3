// node bench/strongswan.bench.ts [--rounds N] [--against DIRECTORY]...
// Without --against it writes docs/BENCHMARKS.md. With it, other builds are measured in the same rounds, and the
// comparison is only printed: for whoever wants to know what a change is worth.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Cluster, DIST } from "../test/netns/support/cluster.ts";
import { PLUGIN } from "./crowd.ts";
import { writeDocument } from "./document.ts";
import type { Measurements, Plan } from "./measure.ts";
import { ratioTable, stepTable, timeTable } from "./report.ts";

/** Milliseconds: the whole bench takes less than half of it on two cores. */
const BOUND = 480_000;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "30" },
    against: { type: "string", multiple: true, default: [] },
  },
});

const plan: Plan = {
  rounds: Number(values.rounds),
  comparison: values.against.length > 0,
  output: "/run/measurements.json",
  node: process.execPath,
  builds: { [PLUGIN]: DIST, ...Object.fromEntries(values.against.map((directory) => [directory, directory])) },
};
const measurements = await measure(plan);
if (plan.comparison) {
  console.log(timeTable(measurements.rounds));
  console.log(ratioTable(measurements.rounds));
  console.log(stepTable(measurements.steps.ADD));
} else {
  const file = fileURLToPath(new URL("../docs/BENCHMARKS.md", import.meta.url));
  await writeDocument(file, measurements);
  console.log(ratioTable(measurements.rounds));
  console.log(`All figures: ${file}`);
}

async function measure(plan: Plan): Promise<Measurements> {
  await using cluster = await Cluster.create(1);
  const node = cluster.node(1);
  const program = fileURLToPath(new URL("measure.ts", import.meta.url));
  await node.exec([process.execPath, ...process.execArgv, program, JSON.stringify(plan)], { timeout: BOUND });
  return JSON.parse(await node.readFile(plan.output));
}
