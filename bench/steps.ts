import { readFileSync, rmSync } from "node:fs";
import { timed } from "./command.ts";
import { configuration } from "./networks.ts";
import { cni, makePods, removePods } from "./pods.ts";
import { type Plugin, pluginFile } from "./subjects.ts";

/** When the steps of one run were reached, in ms since our spawn. */
export type Steps = readonly (readonly [step: string, milliseconds: number])[];

/** The runs of a plugin, by verb. */
export interface PluginSteps {
  readonly ADD: readonly Steps[];
  readonly DEL: readonly Steps[];
}

/** The steps of `count` ADDs, and of as many DELs, by `PODVPN_TRACE`. */
export async function traceSteps(directory: string, plugin: Plugin, count: number): Promise<PluginSteps> {
  const steps: { ADD: Steps[]; DEL: Steps[] } = { ADD: [], DEL: [] };
  const pods = makePods(count);
  for (const pod of pods) {
    for (const verb of ["ADD", "DEL"] as const) {
      const { env, ...command } = cni(verb, pluginFile(directory, plugin), configuration(plugin), pod);
      const run = await timed({ ...command, env: { ...env, PODVPN_TRACE: TRACE } });
      const lines = readFileSync(TRACE, "utf8").trimEnd().split("\n");
      rmSync(TRACE);
      steps[verb].push([...numbered(lines, run.start), ["process ended", run.milliseconds]]);
    }
  }
  removePods(pods);
  return steps;
}

const TRACE = "/run/bench/trace";

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
