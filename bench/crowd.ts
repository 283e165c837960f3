import { type Command, now, timed } from "./command.ts";
import { configuration, type NetworkName } from "./networks.ts";
import { BRIDGE, cni, makePods, removePods } from "./pods.ts";
import type { Series } from "./rounds.ts";
import { pluginFile, reportedBuild, SERIES, type Subjects, seriesOf } from "./subjects.ts";

/** How many at once. */
export const CROWD = 50;

/** Milliseconds until the last of {@link CROWD} has ended, by round. */
export async function measureCrowd(subjects: Subjects, rounds: number): Promise<Series> {
  const series: Record<string, number[]> = {};
  const measure = async (name: string, commands: readonly Command[]) => {
    const start = now();
    await Promise.all(commands.map((command) => timed(command)));
    series[name] = [...(series[name] ?? []), now() - start];
  };
  for (let round = 0; round < rounds; round += 1) {
    await measure(SERIES.node, Array(CROWD).fill({ file: subjects.node, args: ["-e", "0"] }));
    for (const { network, file, add, del } of networksOf(subjects)) {
      const pods = makePods(CROWD);
      for (const [verb, name] of [["ADD", add] as const, ["DEL", del] as const]) {
        const commands = pods.map((pod) => cni(verb, file, configuration(network), pod));
        await measure(name, commands);
      }
      removePods(pods);
    }
  }
  return series;
}

interface CrowdNetwork {
  readonly network: NetworkName;
  readonly file: string;
  readonly add: string;
  readonly del: string;
}

function networksOf(subjects: Subjects): CrowdNetwork[] {
  const directory = reportedBuild(subjects);
  return [
    { network: "bridge", file: BRIDGE, add: SERIES.bridgeAdd, del: SERIES.bridgeDel },
    { network: "bridgeMasq", file: BRIDGE, add: SERIES.bridgeMasqAdd, del: SERIES.bridgeMasqDel },
    ...subjects.plugins.map((plugin) => ({
      network: plugin,
      file: pluginFile(directory, plugin),
      add: seriesOf({ plugin, note: "" }, "ADD"),
      del: seriesOf({ plugin, note: "" }, "DEL"),
    })),
  ];
}
