import { readFileSync, rmSync } from "node:fs";
import { timed } from "./command.ts";
import { cni, configuration, makePods, removePods } from "./pods.ts";

/** When the steps of one run were reached, in ms since our spawn. */
export type Steps = readonly (readonly [step: string, milliseconds: number])[];

/** The steps of `count` ADDs, and of as many DELs, by `PODVPN_TRACE`. */
export async function traceSteps(file: string, count: number): Promise<{ ADD: Steps[]; DEL: Steps[] }> {
  const steps: { ADD: Steps[]; DEL: Steps[] } = { ADD: [], DEL: [] };
  const pods = makePods(count);
  for (const pod of pods) {
    for (const verb of ["ADD", "DEL"] as const) steps[verb].push(await traced(verb, file, pod));
  }
  removePods(pods);
  return steps;
}

const TRACE = "/run/bench/trace";

async function traced(verb: "ADD" | "DEL", file: string, pod: string): Promise<Steps> {
  const command = cni(verb, file, configuration("strongswan", { ipMasq: true }), pod);
  const run = await timed({ ...command, env: { ...command.env, PODVPN_TRACE: TRACE } });
  const lines = readFileSync(TRACE, "utf8").trimEnd().split("\n");
  rmSync(TRACE);
  return [...numbered(lines, run.start), ["process ended", run.milliseconds]];
}

/** What happens twice in a run (nft for the guard and for masquerading) is two steps. */
function numbered(lines: readonly string[], start: number): Steps {
  const seen = new Map<string, number>();
  return lines.map((line) => {
    const [, milliseconds, ...words] = line.split(" ");
    const step = words.join(" ").replaceAll(/\/\S+\//g, "");
    const times = (seen.get(step) ?? 0) + 1;
    seen.set(step, times);
    return [times === 1 ? step : `${step} (${times})`, Number(milliseconds) - start];
  });
}
