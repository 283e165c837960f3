import { charonAlone } from "./charon.ts";
import { timed } from "./command.ts";
import { cni, configuration, makePods, REFERENCE_PLUGINS } from "./pods.ts";

/** Milliseconds by round; the n-th of each series were measured right after another. */
export type Series = Record<string, number[]>;

/** The executables under measurement. */
export interface Subjects {
  /** Node itself. */
  readonly node: string;
  /** Directories with a `strongswan`, by the name that the report shows; the first is the one the report is about. */
  readonly builds: Readonly<Record<string, string>>;
}

/** Name of a series in {@link Series}. */
export const SERIES = {
  node: "node -e 0",
  bridgeAdd: "bridge ADD",
  bridgeDel: "bridge DEL",
  bridgeMasqAdd: "bridge ADD, ipMasq",
  bridgeMasqDel: "bridge DEL, ipMasq",
  charonStart: "charon: start",
  charonConnect: "charon: connect",
  charon: "charon: start and connect",
} as const;

/** The series of one build's operation. */
export function seriesOf(build: string, verb: "VERSION" | "ADD" | "DEL"): string {
  return `${build} ${verb}`;
}

/** Two rounds that do not count fill the page cache and make the bridges; then `count` rounds, each of everything once. */
export async function measureRounds(subjects: Subjects, count: number): Promise<Series> {
  const builds = Object.entries(subjects.builds);
  const pods = makePods((WARM_UP + count) * (2 + builds.length));
  const series: Series = {};
  for (let round = -WARM_UP; round < count; round += 1) {
    const times = await measureRound(subjects, pods.splice(0, 2 + builds.length));
    if (round < 0) continue;
    for (const [name, milliseconds] of Object.entries(times)) (series[name] ??= []).push(milliseconds);
  }
  return series;
}

const WARM_UP = 2;

async function measureRound({ node, builds }: Subjects, pods: readonly string[]): Promise<Record<string, number>> {
  const times: Record<string, number> = {};
  const bridge = `${REFERENCE_PLUGINS}/bridge`;
  const [plainPod = "", masqPod = "", ...ownPods] = pods;
  const measure = async (name: string, command: Parameters<typeof timed>[0]) => {
    times[name] = (await timed(command)).milliseconds;
  };
  await measure(SERIES.node, { file: node, args: ["-e", "0"] });
  for (const [build, directory] of Object.entries(builds)) {
    await measure(seriesOf(build, "VERSION"), {
      file: `${directory}/strongswan`,
      input: '{"cniVersion":"1.0.0"}',
      env: { CNI_COMMAND: "VERSION" },
    });
  }
  await measure(SERIES.bridgeAdd, cni("ADD", bridge, configuration("bridge", false), plainPod));
  await measure(SERIES.bridgeDel, cni("DEL", bridge, configuration("bridge", false), plainPod));
  await measure(SERIES.bridgeMasqAdd, cni("ADD", bridge, configuration("bridge", true), masqPod));
  const charon = await charonAlone(masqPod);
  times[SERIES.charonStart] = charon.start;
  times[SERIES.charonConnect] = charon.connect;
  times[SERIES.charon] = charon.start + charon.connect;
  await measure(SERIES.bridgeMasqDel, cni("DEL", bridge, configuration("bridge", true), masqPod));
  for (const [index, [build, directory]] of Object.entries(builds).entries()) {
    const pod = ownPods[index] ?? "";
    const file = `${directory}/strongswan`;
    await measure(seriesOf(build, "ADD"), cni("ADD", file, configuration("strongswan", true), pod));
    await measure(seriesOf(build, "DEL"), cni("DEL", file, configuration("strongswan", true), pod));
  }
  return times;
}
