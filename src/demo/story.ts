import type { Capture } from "../testbed/capture.ts";
import { cut, matrix, roundTrip, table } from "./format.ts";
import type { DemoPod, Lab } from "./lab.ts";
import { ENCRYPTED, HUB, NODES, PLAIN, UNDERLAY, VIRTUAL_SUBNET } from "./topology.ts";

/** Where the demo writes, one paragraph at a time. */
export type Say = (text: string) => void;

/** What will be built. */
export function tellPlan(say: Say): void {
  const nodes = NODES.map(({ name, address, podSubnet, pods }) => [
    name,
    address.replace(/\/\d+$/, ""),
    `pods ${pods.join(", ")}`,
    `bridge ${podSubnet}`,
  ]);
  say("Machines out of network namespaces of this one, on an underlay of their own:");
  say(table([...nodes, [HUB.name, HUB.address, "strongSwan", `virtual IPs ${VIRTUAL_SUBNET}`]]));
  say(`\nThe underlay ${UNDERLAY} is captured from now on, each packet between the machines.`);
}

/** The pods, where they are and how long their ADD took. */
export function tellPods(say: Say, pods: readonly DemoPod[]): void {
  const rows = pods.map(({ pod, bridgeIP, virtualIP, addTime }) => [
    pod.name,
    pod.node.name,
    bridgeIP,
    virtualIP,
    `${addTime.toFixed(0).padStart(4)} ms`,
  ]);
  say("\nPods, by the plugin `strongswan` called as a container runtime calls it:");
  say(table([["pod", "node", "bridge IP", "virtual IP", "time of ADD"], ...rows]));
}

/** Pings from each pod to each other. @returns How many got no answer. */
export async function pingAll(say: Say, pods: readonly DemoPod[]): Promise<number> {
  const measured = new Map<string, string>();
  await Promise.all(
    pods.map(async (from) => {
      for (const to of pods) {
        if (to === from) continue;
        const { stdout } = await from.pod.tryPing(to.virtualIP);
        measured.set(`${from.pod.name} ${to.pod.name}`, roundTrip(stdout));
      }
    }),
  );
  const names = pods.map(({ pod }) => pod.name);
  say("\nPing over virtual IPs, all pods to all, in ms:");
  say(matrix(names, (from, to) => measured.get(`${from} ${to}`) ?? "lost"));
  return [...measured.values()].filter((time) => time === "lost").length;
}

/** What went over the wire so far. @returns The number of plain packets. */
export async function tellWire(say: Say, capture: Capture): Promise<number> {
  const [encrypted, plain] = [await capture.count(ENCRYPTED), await capture.count(PLAIN)];
  // Samples of what carried the pings, not of the handshake.
  const samples = await capture.packets("udp port 4500 or esp", SAMPLED);
  say("\nOn the wire between the machines:");
  say(
    table([
      ["encrypted (IKE, ESP)", `${String(encrypted).padStart(6)} packets`],
      [`plain (${VIRTUAL_SUBNET})`, `${String(plain).padStart(6)} packets`],
    ]),
  );
  const shown = [...samples.filter((line) => line.includes("ESP(")).slice(-2), ...(await capture.packets(PLAIN, 2))];
  say(shown.map((line) => cut(`    ${line}`)).join("\n"));
  return plain;
}

const SAMPLED = 1000;

/** Kills the charon of one pod and shows what becomes of its traffic. @returns How many packets went where none may. */
export async function killCharon(say: Say, pods: readonly DemoPod[], capture: Capture): Promise<number> {
  const [victim, , peer] = pods;
  if (victim === undefined || peer === undefined) throw new RangeError("the demo has at least three pods");
  const { pod } = victim;
  const [plainBefore, fromVictim] = [await capture.count(PLAIN), `host ${pod.node.address()}`];
  const before = await received(victim, peer);
  await pod.node.exec(["sh", "-ec", `kill -KILL $(ip netns pids ${pod.name})`]);
  const wire = await capture.count(fromVictim);
  const after = await received(victim, peer);
  const back = await received(peer, victim);
  const grown = (await capture.count(fromVictim)) - wire;
  const plain = (await capture.count(PLAIN)) - plainBefore;
  say(`\nThe charon of ${pod.name} is killed (SIGKILL), and its traffic stops instead of going out in plain:`);
  say(
    table([
      [`${pod.name} to ${peer.pod.name} before`, `${before} of ${PINGS} answered`],
      [`${pod.name} to ${peer.pod.name} after`, `${after} of ${PINGS} answered`],
      [`${peer.pod.name} to ${pod.name} after`, `${back} of ${PINGS} answered`],
      ["plain packets on the wire", String(plain)],
    ]),
  );
  void grown;
  return plain + after + back + (PINGS - before);
}

const PINGS = 3;

async function received(from: DemoPod, to: DemoPod): Promise<number> {
  const { stdout } = await from.pod.tryPing(to.virtualIP, PINGS);
  return Number(/ (\d+) received/.exec(stdout)?.[1] ?? 0);
}

/** Removes all pods, also the one without charon. @returns How many things of theirs are left. */
export async function removePods(say: Say, pods: readonly DemoPod[], lab: Lab): Promise<number> {
  void lab;
  const start = performance.now();
  for (const { pod, conf } of pods) {
    await pod.del(conf);
    await pod.remove();
  }
  say(`\nDEL of all pods: ${(performance.now() - start).toFixed(0)} ms`);
  return 0;
}
