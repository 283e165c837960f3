// Runs inside the testbed's node, where a container runtime would run, so that nothing stands between it and what it
// measures. Its argument is a Plan; its result goes to a file.
import { mkdirSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { measureCrowd } from "./crowd.ts";
import { measureDevice } from "./device.ts";
import { type Footprint, measureFootprint } from "./footprint.ts";
import { measureRounds, type Series } from "./rounds.ts";
import { type PluginSteps, traceSteps } from "./steps.ts";
import { type Plugin, reportedBuild, type Subjects } from "./subjects.ts";

/** What is to be measured. */
export interface Plan extends Subjects {
  readonly rounds: number;
  /** Only what can be compared between builds. */
  readonly comparison: boolean;
  /** File for the {@link NodeMeasurements}, as JSON. */
  readonly output: string;
}

/** What is measured on one node. */
export interface NodeMeasurements {
  readonly rounds: Series;
  readonly steps: Partial<Readonly<Record<Plugin, PluginSteps>>>;
  /** The others are absent in a comparison. */
  readonly crowd?: Series;
  readonly footprint?: Footprint;
  readonly device?: Series;
  /** Of the last minute, before and after: what else ran on the machine, and we. */
  readonly load: readonly [before: number, after: number];
}

const TRACED = 15;
const CROWD_ROUNDS = 3;
const DEVICE_ROUNDS = 15;

async function measure(plan: Plan): Promise<NodeMeasurements> {
  mkdirSync("/run/bench", { recursive: true });
  const load = () => loadavg()[0] ?? 0;
  const before = load();
  const rounds = await measureRounds(plan, plan.rounds);
  const steps: Partial<Record<Plugin, PluginSteps>> = {};
  for (const plugin of plan.plugins) steps[plugin] = await traceSteps(reportedBuild(plan), plugin, TRACED);
  const rest = plan.comparison
    ? {}
    : {
        crowd: await measureCrowd(plan, CROWD_ROUNDS),
        device: await measureDevice(DEVICE_ROUNDS),
        footprint: await measureFootprint(plan),
      };
  return { rounds, steps, ...rest, load: [before, load()] };
}

const plan: Plan = JSON.parse(process.argv[2] ?? "");
writeFileSync(plan.output, JSON.stringify(await measure(plan)));
