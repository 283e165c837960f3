// node bench/strongswan.bench.ts [--rounds N] [--against DIRECTORY]...
// Without --against it writes docs/BENCHMARKS.md. With it, other builds are measured in the same rounds, and the
// comparison is only printed: for whoever wants to know what a change is worth.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Cluster, DIST } from "../test/netns/support/cluster.ts";
import { PLUGIN } from "./crowd.ts";
import { writeDocument } from "./document.ts";
import type { Measurements, Plan } from "./measure.ts";
import { ratioTable, stepTable, timeTable } from "./report.ts";
import type { Subjects } from "./rounds.ts";

/** Milliseconds: the whole bench takes less than half of it on two cores. */
const BOUND = 480_000;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "30" },
    against: { type: "string", multiple: true, default: [] },
  },
});

const directory = mkdtempSync(join(tmpdir(), "podvpn-bench-"));
process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(1));

const plan: Plan = {
  rounds: Number(values.rounds),
  comparison: values.against.length > 0,
  output: "/run/measurements.json",
  ...copies(directory, { [PLUGIN]: DIST, ...Object.fromEntries(values.against.map((build) => [build, build])) }),
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

/**
 * Copies of Node and of the executables, all written in the same way: whether a file came into the page cache in large
 * pieces or in small ones makes a start 2 to 3 ms shorter or longer, which is more than many a change of ours.
 */
function copies(directory: string, builds: Subjects["builds"]): Subjects {
  const copy = (source: string, target: string) => {
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, readFileSync(source), { mode: 0o755 });
    return target;
  };
  const copied = Object.entries(builds).map(([name, build], index) => {
    const target = copy(join(build, "strongswan"), join(directory, String(index), "strongswan"));
    return [name, dirname(target)] as const;
  });
  return { node: copy(process.execPath, join(directory, "node")), builds: Object.fromEntries(copied) };
}
