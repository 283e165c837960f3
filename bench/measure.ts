// What runs inside the testbed's node, where a container runtime would run: it starts the programs directly.
import { writeFileSync } from "node:fs";
import { measureRounds, type Series, type Subjects } from "./rounds.ts";
import { traceSteps } from "./steps.ts";

/** What is to be measured. */
export interface Plan extends Subjects {
  readonly rounds: number;
  /** File for the {@link Measurements}, as JSON. */
  readonly output: string;
}

export interface Measurements {
  readonly series: Series;
  readonly steps: Awaited<ReturnType<typeof traceSteps>>;
}

const plan: Plan = JSON.parse(process.argv[2] ?? "");
const measurements: Measurements = {
  series: await measureRounds(plan, plan.rounds),
  steps: await traceSteps(Object.values(plan.builds)[0] ?? "", 15),
};
writeFileSync(plan.output, JSON.stringify(measurements));
process.exit(0);
