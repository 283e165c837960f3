import { readFileSync, rmSync } from "node:fs";
import { timed } from "./command.ts";
import { cni, configuration, makePods } from "./pods.ts";

/** When the steps of one run were reached, in ms since our spawn, in order. */
export type Steps = readonly (readonly [step: string, milliseconds: number])[];

/** The steps of `count` ADDs of a build, and of as many DELs, by `PODVPN_TRACE`. */
export async function traceSteps(directory: string, count: number): Promise<{ ADD: Steps[]; DEL: Steps[] }> {
  const steps = { ADD: [] as Steps[], DEL: [] as Steps[] };
  for (const pod of makePods(count)) {
    for (const verb of ["ADD", "DEL"] as const) {
      steps[verb].push(await traced(verb, `${directory}/strongswan`, pod));
    }
  }
  return steps;
}

const TRACE = "/run/bench/trace";

async function traced(verb: "ADD" | "DEL", file: string, pod: string): Promise<Steps> {
  const command = cni(verb, file, configuration("strongswan", true), pod);
  const run = await timed({ ...command, env: { ...command.env, PODVPN_TRACE: TRACE } });
  const lines = readFileSync(TRACE, "utf8").trimEnd().split("\n");
  rmSync(TRACE);
  const reached = lines.map((line) => {
    const [, milliseconds, ...step] = line.split(" ");
    return [step.join(" "), Number(milliseconds) - run.start] as const;
  });
  return [...reached, ["process ended", run.milliseconds]];
}
