import type { IdleCost, LossCost } from "./mesh-idle.ts";
import { MESH_SERIES } from "./mesh-timings.ts";
import type { Machine } from "./report.ts";
import type { Series } from "./rounds.ts";
import { pairedRatio, summary } from "./statistics.ts";
import { ratioTable, table } from "./tables.ts";

/** All of a run. */
export interface MeshMeasurements {
  readonly machine: Machine;
  /** Of the last minute, before and after. */
  readonly load: readonly [before: number, after: number];
  /** By the number of other nodes. */
  readonly timings: Readonly<Record<number, Series>>;
  readonly idle: readonly IdleCost[];
  readonly loss: LossCost;
}

/** The section of the document, in Markdown. Pure. */
export function meshSection({ machine, load, timings, idle, loss }: MeshMeasurements): string {
  const [date, cpu, ...rest] = machine;
  const shown = [date, cpu, ...rest.filter(([what]) => ["kernel", "Node", "WireGuard"].includes(what))];
  const on = shown.map((row) => row?.join(" ")).join(", ");
  const [before, after] = load.map((value) => value.toFixed(1));
  return [
    "### The agent among 1,000 nodes",
    `\`npm run bench -- mesh\`; ${on}; load average ${before} before and ${after} after. One agent with so many nodes in its
registry, in a directory on this machine; WireGuard in user space. Plan, applies and the changed node are the agent's own
code in one process, of which the first rounds, with code that was never called before, are in the table. The changed node
has another pod prefix; from the rename of its file until its peer is written and read back from wireguard-go and its
routes are acknowledged. All peers are silent then, which costs more than peers that answer. Milliseconds.`,
    timeTable(timings),
    ratioTable(ratios(timings)),
    `At rest: the agent as it is built, all peers up, each probed in both directions. Their answers come from a program on the
same node, by the loopback, so wireguard-go encrypts nothing. Percent of one core; with 1,000 peers over 30 seconds, in which
everything is read once.`,
    idleTable(idle),
    `${loss.changes} of 1,000 nodes changed, one after the other, while ${loss.packets} datagrams went from one node to another and were answered: ${lostText(loss)}.`,
  ].join("\n\n");
}

function timeTable(timings: MeshMeasurements["timings"]): string {
  const rows = Object.values(MESH_SERIES).flatMap((name) =>
    Object.entries(timings).map(([count, series]) => {
      const { min, median, max } = summary(series[name] ?? []);
      return [name, count, ...[min, median, max].map((value) => value.toFixed(1))];
    }),
  );
  return table(["ms", "nodes", "min", "median", "max"], rows);
}

function ratios(timings: MeshMeasurements["timings"]) {
  const of = (one: string, other: string, aim?: string) =>
    Object.entries(timings).map(([count, series]) => ({
      name: `${one} / ${other}, ${count} nodes`,
      values: pairedRatio(series[one] ?? [], series[other] ?? []),
      ...(aim === undefined ? {} : { aim }),
    }));
  return [...of(MESH_SERIES.full, MESH_SERIES.raw, "≤ 3"), ...of(MESH_SERIES.known, MESH_SERIES.read)];
}

function idleTable(costs: readonly IdleCost[]): string {
  return table(
    ["peers", "a probe each", "agent, %", "wireguard-go, %", "agent, PSS MiB", "agent, anonymous MiB"],
    costs.map(({ peers, interval, agent, daemon, pss, anonymous }) => [
      String(peers),
      `${interval} s`,
      ...[agent, daemon].map((value) => value.toFixed(2)),
      ...[pss, anonymous].map((value) => value.toFixed(1)),
    ]),
  );
}

function lostText({ lost, overflowed }: LossCost): string {
  return lost === 0 ? "none was lost" : `${lost} were lost (queues of this machine overflowed ${overflowed} times)`;
}
