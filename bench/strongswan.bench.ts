// npm run bench: see scripts/bench.mjs.
import { fileURLToPath } from "node:url";
import { Cluster, DIST } from "../test/netns/support/cluster.ts";
import type { Measurements, Plan } from "./measure.ts";
import { summary } from "./statistics.ts";

const [rounds = "20", dist = DIST, ...against] = process.argv.slice(2);
await using cluster = await Cluster.create(1);
const node = cluster.node(1);
const plan: Plan = {
  rounds: Number(rounds),
  output: "/run/measurements.json",
  node: process.execPath,
  builds: { strongswan: dist, ...Object.fromEntries(against.map((d) => [d, d])) },
};
const program = fileURLToPath(new URL("measure.ts", import.meta.url));
const argv = [process.execPath, ...process.execArgv, program, JSON.stringify(plan)] as const;
await node.exec(argv, { timeout: 300_000 });
const measurements: Measurements = JSON.parse(await node.readFile(plan.output));
for (const [name, values] of Object.entries(measurements.series)) {
  const { min, median, max } = summary(values);
  console.log(`${min.toFixed(1).padStart(7)} ${median.toFixed(1).padStart(7)} ${max.toFixed(1).padStart(7)}  ${name}`);
}

for (const verb of ["ADD", "DEL"] as const) {
  const runs = measurements.steps[verb];
  console.log(verb);
  let before = 0;
  const rows = (runs[0] ?? []).map(([step]) => [step, summary(runs.flatMap((r) => r.filter(([s]) => s === step).slice(0,1).map(([, t]) => t))).median] as const);
  for (const [step, ms] of rows.toSorted((a, b) => a[1] - b[1])) {
    console.log(`${ms.toFixed(1).padStart(7)} +${(ms - before).toFixed(1).padStart(5)}  ${step}`);
    before = ms;
  }
}
