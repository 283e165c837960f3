// Runs inside the testbed's node, where a container runtime would run, so that nothing stands between it and what it
// measures. Its argument is a Plan; its result goes to a file.
import { writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { type MemoryReport, measureCrowd, measureMemory } from "./crowd.ts";
import { measureRounds, type Series, type Subjects } from "./rounds.ts";
import { type Steps, traceSteps } from "./steps.ts";

/** What is to be measured. */
export interface Plan extends Subjects {
  readonly rounds: number;
  /** Only what can be compared between builds. */
  readonly comparison: boolean;
  /** File for the {@link Measurements}, as JSON. */
  readonly output: string;
}

export interface Measurements {
  readonly rounds: Series;
  readonly steps: { readonly ADD: readonly Steps[]; readonly DEL: readonly Steps[] };
  /** Absent in a comparison. */
  readonly crowd?: Series;
  readonly memory?: MemoryReport;
  /** Of the last minute, before and after: what else ran on the machine, and we. */
  readonly load: readonly [before: number, after: number];
}

const TRACED = 15;
const CROWD_ROUNDS = 3;

async function measure({ node, builds, rounds, comparison }: Plan): Promise<Measurements> {
  const file = `${Object.values(builds)[0]}/strongswan`;
  const load = () => loadavg()[0] ?? 0;
  const before = load();
  const series = await measureRounds({ node, builds }, rounds);
  const steps = await traceSteps(file, TRACED);
  const rest = comparison
    ? {}
    : { crowd: await measureCrowd(node, file, CROWD_ROUNDS), memory: await measureMemory(node, file) };
  return { rounds: series, steps, ...rest, load: [before, load()] };
}

const plan: Plan = JSON.parse(process.argv[2] ?? "");
writeFileSync(plan.output, JSON.stringify(await measure(plan)));
