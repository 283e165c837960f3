import { CROWD, type MemoryReport, PLUGIN } from "./crowd.ts";
import type { Measurements } from "./measure.ts";
import type { Memory } from "./memory.ts";
import { SERIES, type Series, seriesOf } from "./rounds.ts";
import { pairedRatio, pairedSum, type Summary, summary } from "./statistics.ts";
import type { Steps } from "./steps.ts";

/** What the figures hold for. */
export interface Machine {
  readonly date: string;
  readonly kernel: string;
  readonly cpu: string;
  readonly memory: string;
  readonly node: string;
  readonly strongswan: string;
  readonly plugins: string;
}

/** The whole document, in Markdown. @param notes What is kept of the last one, see `document.ts`. Pure. */
export function report(machine: Machine, measurements: Measurements, notes: string): string {
  const { rounds, crowd, memory, steps, load } = measurements;
  const count = rounds[SERIES.node]?.length ?? 0;
  return [
    "# Benchmarks",
    "Written by `npm run bench`, all but the notes at the end. Do not edit: the next run replaces it.",
    machineTable(machine, load),
    "## ADD, DEL and VERSION",
    `${count} rounds; in each, everything once, one after the other (after two rounds that do not count). Whole
processes, from spawn to exit, started directly by one caller on a node of the testbed, which is a network namespace;
the hub is a stock strongSwan on another one. Each bridge has one pod all the time. Node and the executable are copies
that were written in the same way (the notes say why). Standard input and output are files. The plugin's configuration
is the seed's: \`ipMasq\` is on. ESP in user space. Milliseconds. Nothing is subtracted and no round is left out: min,
median and max say how much else the machine had to do.`,
    timeTable(rounds),
    "Ratios are made round by round, of values measured within a second, so that a machine that changes its speed in the course of the run does not change them.",
    ratioTable(rounds),
    "The bridge's own `ipMasq` runs iptables; podvpn masquerades itself, with a small nft table. So both are shown, with it and without it.",
    ...(crowd === undefined ? [] : crowdSection(crowd)),
    ...(memory === undefined ? [] : memorySection(memory)),
    "## Where the time goes",
    "Medians of when each step was reached, in ms after the spawn, and since the step before. By `PODVPN_TRACE=FILE`, which anybody can set; it costs about a millisecond. Steps of the link and of the tunnel run side by side, so a difference is not always the cost of the step beside which it stands.",
    "ADD:",
    stepTable(steps.ADD),
    "DEL:",
    stepTable(steps.DEL),
    "## Notes",
    notes,
  ]
    .map((part) => part.trimEnd())
    .join("\n\n")
    .concat("\n");
}

function machineTable(machine: Machine, [before, after]: Measurements["load"]): string {
  return table(
    ["", ""],
    [
      ["date", machine.date],
      ["CPU", machine.cpu],
      ["memory", machine.memory],
      ["kernel", machine.kernel],
      ["Node", machine.node],
      ["strongSwan", machine.strongswan],
      ["CNI plugins", machine.plugins],
      ["load average of the last minute", `${before.toFixed(1)} before the bench, ${after.toFixed(1)} after it`],
    ],
  );
}

/** Also what `--against` prints: every series there is. Pure. */
export function timeTable(series: Series): string {
  const rows = Object.entries(series).map(([name, values]) => [name, ...times(summary(values))]);
  return table(["ms", "min", "median", "max"], rows);
}

/** Ratios of the builds against what they are compared with, and of further builds against the first. Pure. */
export function ratioTable(series: Series): string {
  const of = (name: string) => series[name] ?? [];
  const node = of(SERIES.node);
  const [first = PLUGIN, ...others] = buildsOf(series);
  const add = of(seriesOf(first, "ADD"));
  const del = of(seriesOf(first, "DEL"));
  const rows: [string, Summary, string][] = [
    ["ADD / (node + bridge ADD with ipMasq)", pairedRatio(add, pairedSum(node, of(SERIES.bridgeMasqAdd))), "1.2"],
    ["ADD / (node + bridge ADD without)", pairedRatio(add, pairedSum(node, of(SERIES.bridgeAdd))), ""],
    [
      "ADD / (node + bridge ADD without + charon alone)",
      pairedRatio(add, pairedSum(pairedSum(node, of(SERIES.bridgeAdd)), of(SERIES.charon))),
      "",
    ],
    ["DEL / (node + bridge DEL with ipMasq)", pairedRatio(del, pairedSum(node, of(SERIES.bridgeMasqDel))), ""],
    ["DEL / (node + bridge DEL without)", pairedRatio(del, pairedSum(node, of(SERIES.bridgeDel))), ""],
    ["VERSION / node", pairedRatio(of(seriesOf(first, "VERSION")), node), "0.9"],
    ...others.flatMap((other) =>
      (["VERSION", "ADD", "DEL"] as const).map((verb): [string, Summary, string] => [
        `${verb}: ${first} / ${other}`,
        pairedRatio(of(seriesOf(first, verb)), of(seriesOf(other, verb))),
        "",
      ]),
    ),
  ];
  return table(
    ["ratio", "min", "median", "max", "aim"],
    rows.map(([name, { min, median, max }, aim]) => [
      name,
      ...[min, median, max].map((value) => value.toFixed(2)),
      aim,
    ]),
  );
}

function buildsOf(series: Series): string[] {
  const end = ` ${"VERSION"}`;
  return Object.keys(series)
    .filter((name) => name.endsWith(end))
    .map((name) => name.slice(0, -end.length));
}

function crowdSection(crowd: Series): string[] {
  const add = crowd[seriesOf(PLUGIN, "ADD")] ?? [];
  const ratio = (other: string) => pairedRatio(add, crowd[other] ?? []).median.toFixed(2);
  return [
    `## ${CROWD} at once`,
    `All ${CROWD} are started in one go; until the last has ended. All succeed, else the bench fails.`,
    timeTable(crowd),
    `An ADD of all is ${ratio(SERIES.node)} times as long as that many \`node -e 0\`, and ${ratio(SERIES.bridgeMasqAdd)} times as long as that many ADDs of the bridge with ipMasq (medians of ratios round by round).`,
  ];
}

function memorySection(memory: MemoryReport): string[] {
  const row = (name: string, { rss, pss, anonymous }: Memory) => [name, ...[rss, pss, anonymous].map(megabytes)];
  const median = (charons: readonly Memory[]): Memory => ({
    rss: summary(charons.map(({ rss }) => rss)).median,
    pss: summary(charons.map(({ pss }) => pss)).median,
    anonymous: summary(charons.map(({ anonymous }) => anonymous)).median,
  });
  return [
    "## Memory",
    `MiB, of /proc/PID/smaps_rollup. For processes that end, the highest values seen in a loop of readings, of the process itself without what it starts; each column by itself. PSS counts a page that n processes share as 1/n: pages of the executable file are shared by all of them, and stay in the page cache in between.`,
    table(
      ["", "RSS", "PSS", "anonymous"],
      [
        row("`node -e 0`, one", memory.node),
        row("ADD, one", memory.add),
        row(`ADD, ${CROWD} at once, all together`, memory.adds),
        row(`a pod's charon after ADD, median of ${memory.few.length} on the node`, median(memory.few)),
        row(`the same, median of ${memory.charons.length}`, median(memory.charons)),
      ],
    ),
  ];
}

/** Steps that only some runs have (a retry) are left out. Pure. */
export function stepTable(runs: readonly Steps[]): string {
  const names = (runs[0] ?? []).map(([step]) => step);
  const reached = names.flatMap((name) => {
    const times = runs.flatMap((run) => run.filter(([step]) => step === name).map(([, time]) => time));
    return times.length === runs.length ? [{ name, time: summary(times).median }] : [];
  });
  const sorted = reached.toSorted((a, b) => a.time - b.time);
  const rows = sorted.map(({ name, time }, index) => {
    const before = sorted[index - 1]?.time ?? 0;
    return [name, time.toFixed(1), (time - before).toFixed(1)];
  });
  return table(["step", "at", "since the last"], rows);
}

function times({ min, median, max }: Summary): string[] {
  return [min, median, max].map((value) => value.toFixed(1));
}

function megabytes(kibibytes: number): string {
  return (kibibytes / 1024).toFixed(1);
}

/** A Markdown table: the first column is text, the others are figures. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rule = head.map((_, index) => (index === 0 || head.length === 2 ? "---" : "---:"));
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}
