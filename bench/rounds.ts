import { charonAlone } from "./charon.ts";
import { type Command, timed } from "./command.ts";
import { configuration } from "./networks.ts";
import { BRIDGE, cni, makePods, removePods } from "./pods.ts";
import { CASES, pluginFile, reportedBuild, SERIES, type Subjects, seriesOf } from "./subjects.ts";

/** Milliseconds by round; the n-th values of all series were measured right after another. */
export type Series = Readonly<Record<string, readonly number[]>>;

const WARM_UP = 2;

/**
 * Two rounds that do not count fill the page cache and make the bridges; then `count` rounds, each of everything once. Each bridge
 * has a pod all the time, as on a node at work: the kernel takes longer for the first masquerading rule of all.
 */
export async function measureRounds(subjects: Subjects, count: number): Promise<Series> {
  const series: Record<string, number[]> = {};
  await addResidents(subjects);
  for (let round = -WARM_UP; round < count; round += 1) {
    const times = await measureRound(subjects, round);
    if (round < 0) continue;
    for (const [name, milliseconds] of Object.entries(times)) series[name] = [...(series[name] ?? []), milliseconds];
  }
  return series;
}

/** They stay until the node ends. */
async function addResidents(subjects: Subjects): Promise<void> {
  const directory = reportedBuild(subjects);
  const [bridged = ""] = makePods(1);
  await timed(cni("ADD", BRIDGE, configuration("bridgeMasq"), bridged));
  for (const { plugin, network, resident } of casesOf(subjects)) {
    if (resident !== "always") continue;
    const [pod = ""] = makePods(1);
    await timed(cni("ADD", pluginFile(directory, plugin), configuration(network), pod));
  }
}

async function measureRound(subjects: Subjects, round: number): Promise<Record<string, number>> {
  const { node, plugins } = subjects;
  const times: Record<string, number> = {};
  const measure = async (name: string, command: Command) => {
    times[name] = (await timed(command)).milliseconds;
  };
  const cases = casesOf(subjects);
  const builds = turned(Object.entries(subjects.builds), round);
  const [plain = "", masqueraded = "", resident = "", ...own] = makePods(3 + builds.length * cases.length);
  await measure(SERIES.node, { file: node, args: ["-e", "0"] });
  for (const plugin of plugins) {
    for (const [build, directory] of builds) {
      const env = { CNI_COMMAND: "VERSION" };
      const command = { file: pluginFile(directory, plugin), input: '{"cniVersion":"1.0.0"}', env };
      await measure(seriesOf({ plugin, note: "" }, "VERSION", build), command);
    }
  }
  const off = configuration("bridge");
  await measure(SERIES.bridgeAdd, cni("ADD", BRIDGE, off, plain));
  await measure(SERIES.bridgeDel, cni("DEL", BRIDGE, off, plain));
  const on = configuration("bridgeMasq");
  await measure(SERIES.bridgeMasqAdd, cni("ADD", BRIDGE, on, masqueraded));
  if (plugins.includes("strongswan")) {
    const charon = await charonAlone(masqueraded); // needs an address, and the way back from the hub
    times[SERIES.charonStart] = charon.start;
    times[SERIES.charonConnect] = charon.connect;
    times[SERIES.charon] = charon.start + charon.connect;
  }
  await measure(SERIES.bridgeMasqDel, cni("DEL", BRIDGE, on, masqueraded));
  const pods = own.values();
  for (const one of cases) {
    const config = configuration(one.network);
    const around = (verb: "ADD" | "DEL") =>
      cni(verb, pluginFile(reportedBuild(subjects), one.plugin), config, resident);
    if (one.resident === "around") await timed(around("ADD"));
    for (const [build, directory] of builds) {
      const pod = pods.next().value ?? "";
      const file = pluginFile(directory, one.plugin);
      await measure(seriesOf(one, "ADD", build), cni("ADD", file, config, pod));
      await measure(seriesOf(one, "DEL", build), cni("DEL", file, config, pod));
    }
    if (one.resident === "around") await timed(around("DEL"));
  }
  removePods([plain, masqueraded, resident, ...own]);
  return times;
}

function casesOf({ plugins }: Subjects) {
  return CASES.filter(({ plugin }) => plugins.includes(plugin));
}

/** Each build is as often the first one of a round as any other: what comes second finds the caches warm. Pure. */
function turned<T>(list: readonly T[], by: number): T[] {
  const at = ((by % list.length) + list.length) % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}
