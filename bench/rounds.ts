import { charonAlone } from "./charon.ts";
import { type Command, timed } from "./command.ts";
import { BRIDGE, cni, configuration, makePods, removePods } from "./pods.ts";

/** Milliseconds by round; the n-th values of all series were measured right after another. */
export type Series = Readonly<Record<string, readonly number[]>>;

/** The executables under measurement. */
export interface Subjects {
  /** Node itself: the very file that the executable was made of. */
  readonly node: string;
  /** Directories with a `strongswan`, by the name that the report shows. */
  readonly builds: Readonly<Record<string, string>>;
}

/** Names of what is compared with. */
export const SERIES = {
  node: "`node -e 0`",
  bridgeAdd: "bridge ADD, ipMasq off",
  bridgeDel: "bridge DEL, ipMasq off",
  bridgeMasqAdd: "bridge ADD, ipMasq on",
  bridgeMasqDel: "bridge DEL, ipMasq on",
  charonStart: "charon alone: start, up to its first answer",
  charonConnect: "charon alone: PSK, connection, initiate, read back",
  charon: "charon alone: both",
} as const;

/** Name of a build's series. */
export function seriesOf(build: string, verb: "VERSION" | "ADD" | "DEL"): string {
  return `${build} ${verb}`;
}

const WARM_UP = 2;

/**
 * Two rounds that do not count fill the page cache and make the bridges; then `count` rounds, each of everything once. Each bridge
 * has a pod all the time, as on a node at work: the kernel takes longer for the first masquerading rule of all.
 */
export async function measureRounds(subjects: Subjects, count: number): Promise<Series> {
  const series: Record<string, number[]> = {};
  await addResidents(subjects);
  for (let round = -WARM_UP; round < count; round += 1) {
    const times = await measureRound(subjects);
    if (round < 0) continue;
    for (const [name, milliseconds] of Object.entries(times)) series[name] = [...(series[name] ?? []), milliseconds];
  }
  return series;
}

/** They stay until the node ends. */
async function addResidents({ builds }: Subjects): Promise<void> {
  const [bridged = "", tunnelled = ""] = makePods(2);
  const [directory = ""] = Object.values(builds);
  await timed(cni("ADD", BRIDGE, configuration("bridge", { ipMasq: true }), bridged));
  await timed(cni("ADD", `${directory}/strongswan`, configuration("strongswan", { ipMasq: true }), tunnelled));
}

async function measureRound({ node, builds }: Subjects): Promise<Record<string, number>> {
  const times: Record<string, number> = {};
  const measure = async (name: string, command: Command) => {
    times[name] = (await timed(command)).milliseconds;
  };
  const pods = makePods(2 + Object.keys(builds).length);
  const [plain = "", masqueraded = "", ...own] = pods;
  await measure(SERIES.node, { file: node, args: ["-e", "0"] });
  for (const [build, directory] of Object.entries(builds)) {
    const env = { CNI_COMMAND: "VERSION" };
    await measure(seriesOf(build, "VERSION"), {
      file: `${directory}/strongswan`,
      input: '{"cniVersion":"1.0.0"}',
      env,
    });
  }
  const off = configuration("bridge", { ipMasq: false });
  await measure(SERIES.bridgeAdd, cni("ADD", BRIDGE, off, plain));
  await measure(SERIES.bridgeDel, cni("DEL", BRIDGE, off, plain));
  const on = configuration("bridge", { ipMasq: true });
  await measure(SERIES.bridgeMasqAdd, cni("ADD", BRIDGE, on, masqueraded));
  const charon = await charonAlone(masqueraded); // needs an address, and the way back from the hub
  times[SERIES.charonStart] = charon.start;
  times[SERIES.charonConnect] = charon.connect;
  times[SERIES.charon] = charon.start + charon.connect;
  await measure(SERIES.bridgeMasqDel, cni("DEL", BRIDGE, on, masqueraded));
  const config = configuration("strongswan", { ipMasq: true });
  for (const [index, [build, directory]] of Object.entries(builds).entries()) {
    const pod = own[index] ?? "";
    await measure(seriesOf(build, "ADD"), cni("ADD", `${directory}/strongswan`, config, pod));
    await measure(seriesOf(build, "DEL"), cni("DEL", `${directory}/strongswan`, config, pod));
  }
  removePods(pods);
  return times;
}
