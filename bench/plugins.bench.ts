// node bench/plugins.bench.ts [--rounds N] [--plugin NAME] [--against DIRECTORY]...
// Without --against and --plugin it writes docs/BENCHMARKS.md. With --against, other builds are measured in the same
// rounds, and the comparison is only printed: for whoever wants to know what a change is worth. --plugin leaves the
// other plugin out.
import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Cluster, DIST } from "../test/netns/support/cluster.ts";
import { writeDocument } from "./document.ts";
import type { NodeMeasurements, Plan } from "./measure.ts";
import { buildRatios, pluginRatios, throughputRatios } from "./ratios.ts";
import { PLUGINS, type Subjects, THIS_BUILD } from "./subjects.ts";
import { ratioTable, stepTable, timeTable } from "./tables.ts";
import { measureThroughput } from "./throughput.ts";

/** Milliseconds: the whole bench takes less than half of it on two cores. */
const BOUND = 900_000;
const THROUGHPUT_ROUNDS = 8;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "30" },
    plugin: { type: "string" },
    against: { type: "string", multiple: true, default: [] },
  },
});

const directory = mkdtempSync(join(tmpdir(), "podvpn-bench-"));
process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(1));

const plugins = PLUGINS.filter((name) => values.plugin === undefined || values.plugin === name);
if (plugins.length === 0) throw new TypeError(`--plugin is "${values.plugin}"; give one of ${PLUGINS.join(", ")}`);
const builds = { [THIS_BUILD]: DIST, ...Object.fromEntries(values.against.map((build) => [build, build])) };
const plan: Plan = {
  rounds: Number(values.rounds),
  comparison: values.against.length > 0 || values.plugin !== undefined,
  output: "/run/measurements.json",
  plugins,
  ...copies(directory, builds),
};
const measurements = await measure(plan);
if (plan.comparison) {
  console.log(timeTable(measurements.rounds));
  console.log(
    ratioTable([...pluginRatios(measurements.rounds), ...buildRatios(measurements.rounds, Object.keys(builds))]),
  );
  for (const runs of Object.values(measurements.steps)) console.log(stepTable(runs.ADD));
} else {
  const file = fileURLToPath(new URL("../docs/BENCHMARKS.md", import.meta.url));
  const throughput = await measureThroughput(join(directory, "0"), THROUGHPUT_ROUNDS);
  await writeDocument(file, { ...measurements, throughput });
  console.log(ratioTable([...pluginRatios(measurements.rounds), ...throughputRatios(throughput)]));
  console.log(`All figures: ${file}`);
}

async function measure(plan: Plan): Promise<NodeMeasurements> {
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
function copies(directory: string, builds: Subjects["builds"]): Pick<Subjects, "node" | "builds"> {
  const copy = (source: string, target: string) => {
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, readFileSync(source), { mode: 0o755 });
    return target;
  };
  const copied = Object.entries(builds).map(([name, build], index) => {
    const [first, ...others] = PLUGINS.map((plugin) => join(directory, String(index), plugin));
    const target = copy(join(build, PLUGINS[0]), first ?? "");
    for (const other of others) linkSync(target, other); // one file, as the build leaves it
    return [name, dirname(target)] as const;
  });
  return { node: copy(process.execPath, join(directory, "node")), builds: Object.fromEntries(copied) };
}
