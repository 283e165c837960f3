// npm run bench: see scripts/bench.mjs.
import { fileURLToPath } from "node:url";
import { Cluster, DIST } from "../test/netns/support/cluster.ts";
import type { Measurements, Plan } from "./measure.ts";
import { summary } from "./statistics.ts";

const [rounds = "20", ...against] = process.argv.slice(2);
await using cluster = await Cluster.create(1);
const node = cluster.node(1);
const plan: Plan = {
  rounds: Number(rounds),
  output: "/run/measurements.json",
  node: process.execPath,
  builds: { strongswan: DIST, ...Object.fromEntries(against.map((d) => [d, d])) },
};
const program = fileURLToPath(new URL("measure.ts", import.meta.url));
const argv = [process.execPath, ...process.execArgv, program, JSON.stringify(plan)] as const;
await node.exec(argv, { timeout: 300_000 });
const measurements: Measurements = JSON.parse(await node.readFile(plan.output));
for (const [name, values] of Object.entries(measurements.series)) {
  const { min, median, max } = summary(values);
  console.log(`${min.toFixed(1).padStart(7)} ${median.toFixed(1).padStart(7)} ${max.toFixed(1).padStart(7)}  ${name}`);
}
