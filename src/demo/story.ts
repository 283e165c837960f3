import type { Capture } from "../testbed/capture.ts";
import { cut, LOST, matrix, roundTrip, table } from "./format.ts";
import type { DemoPod } from "./lab.ts";
import type { Mode, Prepared, Wire } from "./mode.ts";
import { PAYLOAD, ping } from "./ping.ts";
import { UNDERLAY } from "./topology.ts";

/** Where the demo writes, one paragraph at a time. */
export type Say = (text: string) => void;

/** A line, underlined. */
export function tellHeading(say: Say, line: string): void {
  say(`${line}\n${"=".repeat(line.length)}`);
}

/** What it is about. */
export function tellTitle(say: Say, { plugin, title }: Mode): void {
  tellHeading(say, `${plugin}: ${title}`);
  say("Machines out of network namespaces of this one, on an underlay of their own:");
}

/** What has been built. */
export function tellMachines(say: Say, { machines }: Prepared): void {
  say(table(machines));
  say(`\nEvery packet between them, on ${UNDERLAY}, is captured.`);
}

/** The pods, where they are and how long their ADD took. */
export function tellPods(
  say: Say,
  mode: Pick<Mode, "addresses"> & { readonly plugin: string },
  pods: readonly DemoPod[],
): void {
  const rows = pods.map(({ pod, addresses, addTime }) => [
    pod.name,
    pod.node.name,
    ...addresses,
    `${addTime.toFixed(0).padStart(4)} ms`,
  ]);
  say(`\nPods, by the plugin \`${mode.plugin}\` called as a container runtime calls it:`);
  say(table([["pod", "node", ...mode.addresses, "time of ADD"], ...rows]));
}

/** Pings from each pod to each other. @returns What is not as it should be. */
export async function pingAll(say: Say, mode: Mode, pods: readonly DemoPod[]): Promise<string[]> {
  const measured = new Map<string, string>();
  await Promise.all(
    pods.map(async (from) => {
      for (const to of pods) {
        if (to !== from) measured.set(`${from.pod.name} ${to.pod.name}`, roundTrip(await ping(from, to)));
      }
    }),
  );
  const names = pods.map(({ pod }) => pod.name);
  say(`\nPing by ${mode.addresses[0]}, from the row's pod to the column's, in ms:`);
  say(matrix(names, (from, to) => measured.get(`${from} ${to}`) ?? LOST));
  say(mode.way);
  const lost = [...measured.values()].filter((time) => time === LOST).length;
  return lost === 0 ? [] : [`${lost} pings from pod to pod got no answer`];
}

const SAMPLES = 2;

/** What went over the wire so far. @returns What is not as it should be. */
export async function tellWire(say: Say, wire: Wire, capture: Capture): Promise<string[]> {
  const unwanted = [wire.plain, ...(wire.other === undefined ? [] : [wire.other])];
  const filters = [wire.encrypted, ...unwanted].map(({ filter }) => filter);
  const [encrypted, plain, other = 0] = await Promise.all(filters.map((filter) => capture.count(filter)));
  const isReadable = await capture.carries(PAYLOAD);
  say("\nOn the wire between the machines:");
  say(
    table([
      [`encrypted (${wire.encrypted.name})`, `${encrypted} packets`],
      [`plain (${wire.plain.name})`, `${plain} packets`],
      ...(wire.other === undefined ? [] : [[wire.other.name, `${other} packets`]]),
      ["what the pings carried", isReadable ? "can be read" : "cannot be read"],
    ]),
  );
  // The last ones carried the pings.
  const samples = await capture.lastPackets(wire.data, SAMPLES);
  const leaks = await capture.packets(unwanted.map(({ filter }) => `(${filter})`).join(" or "), SAMPLES);
  say([...samples, ...leaks].map((line) => cut(`    ${line}`)).join("\n"));
  return [
    ...(samples.length === SAMPLES ? [] : [`the wire carried no packets of pods in ${wire.encrypted.name}`]),
    ...(plain === 0 ? [] : [`the wire carried ${plain} plain packets`]),
    ...(other === 0 ? [] : [`the wire carried ${other} packets of another kind`]),
    ...(isReadable ? ["what pods sent could be read on the wire"] : []),
  ];
}
