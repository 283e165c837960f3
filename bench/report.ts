import { CROWD } from "./crowd.ts";
import type { Footprint } from "./footprint.ts";
import type { NodeMeasurements } from "./measure.ts";
import { deviceRatios, pluginRatios, throughputRatios } from "./ratios.ts";
import type { Series } from "./rounds.ts";
import { pairedRatio } from "./statistics.ts";
import { PLUGINS, SERIES, seriesOf } from "./subjects.ts";
import { ratioTable, stepTable, table, timeTable } from "./tables.ts";

/** What the figures hold for: rows of what and which. */
export type Machine = readonly (readonly [what: string, which: string])[];

/** All of a run that is reported. */
export interface Measurements extends NodeMeasurements {
  /** Mbit/s. */
  readonly throughput?: Series;
}

/** The whole document, in Markdown. @param notes What is kept of the last one, see `document.ts`. Pure. */
export function report(machine: Machine, measurements: Measurements, notes: string): string {
  const { rounds, crowd, device, throughput, footprint, load } = measurements;
  const [before, after] = load.map((value) => value.toFixed(1));
  return [
    "# Benchmarks",
    "Written by `npm run bench`, all but the notes at the end. Do not edit: the next run replaces it.",
    table(["", ""], [...machine, ["load average of the last minute", `${before} before the bench, ${after} after it`]]),
    ...roundsSection(rounds),
    ...(crowd === undefined ? [] : crowdSection(crowd)),
    ...(throughput === undefined ? [] : throughputSection(throughput)),
    ...(device === undefined ? [] : deviceSection(device)),
    ...(footprint === undefined ? [] : footprintSection(footprint)),
    ...stepsSection(measurements),
    "## Notes",
    notes,
  ]
    .map((part) => part.trimEnd())
    .join("\n\n")
    .concat("\n");
}

function roundsSection(rounds: Series): string[] {
  const count = rounds[SERIES.node]?.length ?? 0;
  return [
    "## ADD, DEL and VERSION",
    `${count} rounds; in each, everything once, one after the other (after two rounds that do not count). Whole
processes, from spawn to exit, started directly by one caller on a node of the testbed, which is a network namespace.
Each bridge has a pod before, but that of "the node's first pod". Node and the executable are copies that were written in the same way (the notes
say why). Standard input and output are files. All configurations of ours have \`ipMasq\` on. For \`strongswan\` the hub
is a stock strongSwan on another node, with ESP in user space. For \`wireguard\` the device has two peers, in user space,
and is there already, as on a node at work; for "the node's first pod" each ADD makes guard and device, and each DEL removes
them; with 1,000 peers they are in a \`peersFile\`, and the device is there already. Milliseconds. Nothing is subtracted and no round is left out: min, median and max say how much else
the machine had to do.`,
    timeTable(rounds),
    "Ratios are made round by round, of values measured within a second, so that a machine that changes its speed in the course of the run does not change them.",
    ratioTable(pluginRatios(rounds)),
    "The bridge's own `ipMasq` runs iptables; podvpn masquerades itself, with a small nft table. So both are shown, with it and without it.",
  ];
}

function crowdSection(crowd: Series): string[] {
  const sentences = PLUGINS.flatMap((plugin) => {
    const add = crowd[seriesOf({ plugin, note: "" }, "ADD")];
    if (add === undefined) return [];
    const ratio = (other: string) => pairedRatio(add, crowd[other] ?? []).median.toFixed(2);
    return `The ADDs of \`${plugin}\` take ${ratio(SERIES.node)} times as long as that many \`node -e 0\`, and ${ratio(SERIES.bridgeMasqAdd)} times as long as that many ADDs of the bridge with ipMasq (medians of ratios round by round).`;
  });
  return [
    `## ${CROWD} at once`,
    `All ${CROWD} are started in one go; until the last has ended. All succeed, else the bench fails.`,
    timeTable(crowd),
    sentences.join(" "),
  ];
}

function throughputSection(throughput: Series): string[] {
  return [
    "## Throughput of `wireguard`",
    "From one node to another, one TCP connection of iperf3 for two seconds after one that does not count, as its receiver has it; the three ways in turn in every round, there and back. Two wireguard-go, both iperf3 and both nodes share the processors of this machine: what counts is what the way from the pod to the device takes of what the devices give.",
    timeTable(throughput, "Mbit/s"),
    ratioTable(throughputRatios(throughput)),
  ];
}

function deviceSection(device: Series): string[] {
  return [
    "## A device with 1,000 peers",
    "One wireguard-go over its UAPI socket, each peer with an endpoint and an allowed IP, in one process of ours; the first round counts, in which our functions are called for the first time. One changed peer shall take 10 ms at most. A wireguard-go takes most of the time of both full writes itself: it calculates a shared secret for each new peer. An ADD of a pod with that many peers in `peersFile`, all read and compared, is in the table of ADDs above.",
    timeTable(device),
    ratioTable(deviceRatios(device)),
  ];
}

function footprintSection(footprint: Footprint): string[] {
  const megabytes = (kibibytes: number) => (kibibytes / 1024).toFixed(1);
  return [
    "## Memory",
    "MiB, of /proc/PID/smaps_rollup. For processes that end, the highest values seen in a loop of readings, of the process itself without what it starts; each column by itself. PSS counts a page that n processes share as 1/n: pages of the executable file are shared by all of them, and stay in the page cache in between.",
    table(
      ["", "RSS", "PSS", "anonymous"],
      footprint.map(([what, { rss, pss, anonymous }]) => [what, ...[rss, pss, anonymous].map(megabytes)]),
    ),
  ];
}

function stepsSection({ steps }: Measurements): string[] {
  return [
    "## Where the time goes",
    "Medians of when each step was reached, in ms after the spawn, and since the step before. By `PODVPN_TRACE=FILE`, which anybody can set; it costs about a millisecond. Steps of the link and of the tunnel or device run side by side, so a difference is not always the cost of the step beside which it stands.",
    ...PLUGINS.flatMap((plugin) => {
      const runs = steps[plugin];
      if (runs === undefined) return [];
      return [`\`${plugin}\` ADD:`, stepTable(runs.ADD), `\`${plugin}\` DEL:`, stepTable(runs.DEL)];
    }),
  ];
}
