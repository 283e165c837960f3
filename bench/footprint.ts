import { readdirSync, readFileSync } from "node:fs";
import { timed } from "./command.ts";
import { CROWD } from "./crowd.ts";
import { type Memory, medianMemory, peakMemory, readMemory } from "./memory.ts";
import { configuration } from "./networks.ts";
import { cni, makePods, removePods } from "./pods.ts";
import { type Plugin, pluginFile, reportedBuild, type Subjects } from "./subjects.ts";

/** What one process takes, what a crowd takes, and what stays: by what it is of, in the words of the report. */
export type Footprint = readonly (readonly [what: string, memory: Memory])[];

/** Measures it; nothing of it is timed. The residents of the rounds are there. */
export async function measureFootprint(subjects: Subjects): Promise<Footprint> {
  const node = await peakMemory([{ file: subjects.node, args: ["-e", "0"] }]);
  const rows: (readonly [string, Memory])[] = [["`node -e 0`, one", node]];
  for (const plugin of subjects.plugins) rows.push(...(await footprintOf(plugin, reportedBuild(subjects))));
  if (subjects.plugins.includes("wireguard")) rows.push(await manyPeersFootprint(reportedBuild(subjects)));
  return rows;
}

async function footprintOf(plugin: Plugin, directory: string): Promise<Footprint> {
  const command = (verb: "ADD" | "DEL") => (pod: string) =>
    cni(verb, pluginFile(directory, plugin), configuration(plugin), pod);
  const [first = "", ...pods] = makePods(1 + CROWD);
  const add = await peakMemory([command("ADD")(first)]);
  const few = DAEMONS[plugin]();
  await timed(command("DEL")(first));
  const adds = await peakMemory(pods.map(command("ADD")));
  const many = DAEMONS[plugin]();
  await Promise.all(pods.map((pod) => timed(command("DEL")(pod))));
  removePods([first, ...pods]);
  return [
    [`${plugin} ADD, one`, add],
    [`${plugin} ADD, ${CROWD} at once, all together`, adds],
    ...few.map(([what, memory]) => [`${what}, 2 pods on the node`, memory] as const),
    ...many.map(([what, memory]) => [`${what}, ${CROWD + 1} pods on the node`, memory] as const),
  ];
}

async function manyPeersFootprint(directory: string): Promise<Footprint[number]> {
  const [pod = ""] = makePods(1);
  const command = (verb: "ADD" | "DEL") => cni(verb, pluginFile(directory, "wireguard"), configuration("many"), pod);
  await timed(command("ADD"));
  const memory = wireguardGo("bench4");
  await timed(command("DEL"));
  removePods([pod]);
  return ["a wireguard-go, 1,000 peers, 1 pod on the node", memory];
}

/** What a plugin leaves running. */
const DAEMONS: Readonly<Record<Plugin, () => Footprint>> = {
  strongswan: () => {
    const directory = "/run/podvpn/pods";
    const files = readdirSync(directory).map((pod) => `${directory}/${pod}/charon.pid`);
    const memories = files.map(pidIn).flatMap((pid) => (pid === undefined ? [] : [readMemory(pid)]));
    return [["a pod's charon, the median one", medianMemory(memories)]];
  },
  wireguard: () => [["the node's wireguard-go, 2 peers", wireguardGo("podvpn0")]],
};

function wireguardGo(device: string): Memory {
  const pid = pidIn(`/run/podvpn/devices/${device}/wireguard-go.pid`);
  if (pid === undefined) throw new Error(`no wireguard-go runs for ${device}`);
  return readMemory(pid);
}

/** Undefined where there is none: a pod without a daemon of its own. */
function pidIn(file: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(file, "utf8"), 10);
  } catch {
    return undefined;
  }
}
