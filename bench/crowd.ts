import { type Command, now, timed } from "./command.ts";
import { charonMemory, type Memory, peakMemory } from "./memory.ts";
import { BRIDGE, cni, configuration, makePods, removePods } from "./pods.ts";
import { SERIES, type Series, seriesOf } from "./rounds.ts";

/** How many at once. */
export const CROWD = 50;

/** What one process takes, what a crowd takes, and what stays: a charon for each pod. */
export interface MemoryReport {
  readonly node: Memory;
  readonly add: Memory;
  /** Of {@link CROWD} ADDs started at once, all together. */
  readonly adds: Memory;
  /** Of each charon when there are two pods on the node. */
  readonly few: readonly Memory[];
  /** Of each charon when there are {@link CROWD} more than the resident. */
  readonly charons: readonly Memory[];
}

/** Milliseconds until the last of {@link CROWD} has ended, by round. */
export async function measureCrowd(node: string, file: string, rounds: number): Promise<Series> {
  const series: Record<string, number[]> = {};
  const measure = async (name: string, commands: readonly Command[]) => {
    const start = now();
    await Promise.all(commands.map((command) => timed(command)));
    series[name] = [...(series[name] ?? []), now() - start];
  };
  for (let round = 0; round < rounds; round += 1) {
    await measure(SERIES.node, Array(CROWD).fill(bare(node)));
    for (const [type, ipMasq, add, del] of NETWORKS) {
      const pods = makePods(CROWD);
      const config = configuration(type, { ipMasq });
      const plugin = type === "bridge" ? BRIDGE : file;
      await measure(
        add,
        pods.map((pod) => cni("ADD", plugin, config, pod)),
      );
      await measure(
        del,
        pods.map((pod) => cni("DEL", plugin, config, pod)),
      );
      removePods(pods);
    }
  }
  return series;
}

/** The name under which the crowd's series of the plugin itself stand. */
export const PLUGIN = "strongswan";

const NETWORKS = [
  ["bridge", false, SERIES.bridgeAdd, SERIES.bridgeDel],
  ["bridge", true, SERIES.bridgeMasqAdd, SERIES.bridgeMasqDel],
  ["strongswan", true, seriesOf(PLUGIN, "ADD"), seriesOf(PLUGIN, "DEL")],
] as const;

/** See {@link MemoryReport}. */
export async function measureMemory(node: string, file: string): Promise<MemoryReport> {
  const config = configuration("strongswan", { ipMasq: true });
  const command = (verb: "ADD" | "DEL") => (pod: string) => cni(verb, file, config, pod);
  const [first = "", ...pods] = makePods(1 + CROWD);
  const one = await peakMemory([bare(node)]);
  const add = await peakMemory([command("ADD")(first)]);
  const few = charonMemory();
  await timed(command("DEL")(first));
  const adds = await peakMemory(pods.map(command("ADD")));
  const charons = charonMemory();
  await Promise.all(pods.map((pod) => timed(command("DEL")(pod))));
  removePods([first, ...pods]);
  return { node: one, add, adds, few, charons };
}

function bare(file: string): Command {
  return { file, args: ["-e", "0"] };
}
