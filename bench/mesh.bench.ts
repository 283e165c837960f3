// npm run bench -- mesh [--rounds N] [--seconds N]: the agent of a node among 10, 100 and 1,000 others.
// Writes its section of docs/BENCHMARKS.md.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Testbed } from "../src/testbed/testbed.ts";
import { describeMachine, withMesh } from "./document.ts";
import { type IdleCost, type LossCost, MeshBed } from "./mesh-idle.ts";
import { meshSection } from "./mesh-report.ts";
import type { TimingPlan } from "./mesh-timings.ts";
import type { Series } from "./rounds.ts";

const COUNTS = [10, 100, 1000];
const MOST = 1000;
const CHANGES = 20;
/** Datagrams a second. */
const RATE = 500;
/** Milliseconds for the timings with one number of nodes. */
const BOUND = 100_000;

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "15" }, seconds: { type: "string", default: "30" } },
});
const load = () => loadavg()[0] ?? 0;
const before = load();
const timings: Record<number, Series> = {};
for (const count of COUNTS) timings[count] = await timed(count);
const idle = await idleCosts();
const loss = await lossCost();
const section = meshSection({ machine: await describeMachine(), load: [before, load()], timings, idle, loss });
const file = fileURLToPath(new URL("../docs/BENCHMARKS.md", import.meta.url));
writeFileSync(file, withMesh(readFileSync(file, "utf8"), section));
process.stdout.write(`${section}\n\nAlso in ${file}\n`);

async function timed(count: number): Promise<Series> {
  await using testbed = await Testbed.create();
  const node = await testbed.node("n1", { addresses: ["10.9.0.1/24"] });
  const registry = mkdtempSync(join(tmpdir(), "podvpn-bench-"));
  try {
    const plan: TimingPlan = { count, rounds: Number(values.rounds), registry, output: "/run/timings.json" };
    const program = fileURLToPath(new URL("mesh-timings.ts", import.meta.url));
    await node.exec([process.execPath, ...process.execArgv, program, JSON.stringify(plan)], { timeout: BOUND });
    return JSON.parse(await node.readFile(plan.output));
  } finally {
    rmSync(registry, { recursive: true });
  }
}

/** One after the other: what they take of the processor is what is measured. */
async function idleCosts(): Promise<IdleCost[]> {
  const costs: IdleCost[] = [];
  for (const [count, interval] of [...COUNTS.map((one) => [one, 1] as const), [MOST, 10] as const]) {
    await using bed = await MeshBed.create(1, count, interval);
    costs.push(await bed.idle(count < MOST ? Number(values.seconds) / 3 : Number(values.seconds)));
  }
  return costs;
}

async function lossCost(): Promise<LossCost> {
  await using bed = await MeshBed.create(2, MOST - 1, 10);
  return await bed.loss(CHANGES, RATE);
}
