import type { Capture } from "../testbed/capture.ts";
import type { Node } from "../testbed/node.ts";
import { cut, LOST, matrix, roundTrip, table } from "./format.ts";
import type { DemoPod } from "./lab.ts";
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
  say(`\nFrom now on every packet between them, on ${UNDERLAY}, is captured.`);
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

/** Pings from each pod to each other. @returns What is not as it should be. */
export async function pingAll(say: Say, pods: readonly DemoPod[]): Promise<string[]> {
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
  say("\nPing over virtual IPs, from the row's pod to the column's, in ms:");
  say(matrix(names, (from, to) => measured.get(`${from} ${to}`) ?? LOST));
  const lost = [...measured.values()].filter((time) => time === LOST).length;
  return lost === 0 ? [] : [`${lost} pings over virtual IPs got no answer`];
}

/** What went over the wire so far. @returns What is not as it should be. */
export async function tellWire(say: Say, capture: Capture): Promise<string[]> {
  const [encrypted, plain] = [await capture.count(ENCRYPTED), await capture.count(PLAIN)];
  say("\nOn the wire between the machines:");
  say(
    table([
      ["encrypted (IKE, ESP)", `${encrypted} packets`],
      [`plain (${VIRTUAL_SUBNET})`, `${plain} packets`],
    ]),
  );
  // The last ones carried the pings, the first ones only the handshakes.
  const esp = (await capture.packets(ENCRYPTED, encrypted)).filter((line) => line.includes("ESP(")).slice(-2);
  const samples = [...esp, ...(await capture.packets(PLAIN, 2))];
  say(samples.map((line) => cut(`    ${line}`)).join("\n"));
  return [
    ...(esp.length === 2 ? [] : ["the wire carried no ESP"]),
    ...(plain === 0 ? [] : [`the wire carried ${plain} plain packets`]),
  ];
}

const PINGS = 3;

/** Kills the charon of one pod and shows what becomes of its traffic. @returns What is not as it should be. */
export async function killCharon(say: Say, pods: readonly DemoPod[], capture: Capture): Promise<string[]> {
  const [victim, , peer] = pods;
  if (victim === undefined || peer === undefined) throw new RangeError("the demo has at least three pods");
  const plainBefore = await capture.count(PLAIN);
  const before = await answered(victim, peer);
  // Nothing else runs in the pod's namespace.
  await victim.pod.node.exec(["sh", "-ec", `kill -KILL $(ip netns pids ${victim.pod.name})`]);
  const there = await answered(victim, peer);
  const back = await answered(peer, victim);
  const plain = (await capture.count(PLAIN)) - plainBefore;

  const [one, other] = [victim.pod.name, peer.pod.name];
  say(`\nThe charon of ${one} is killed: its traffic stops, and does not go out in plain.`);
  say(
    table([
      [`${one} to ${other}, before`, `${before} of ${PINGS} pings answered`],
      [`${one} to ${other}, after`, `${there} of ${PINGS}`],
      [`${other} to ${one}, after`, `${back} of ${PINGS}`],
      ["plain on the wire", `${plain} packets`],
    ]),
  );
  return [
    ...(before === PINGS ? [] : [`${one} did not reach ${other} before its charon was killed`]),
    ...(there + back === 0 ? [] : [`${one} has traffic without its charon`]),
    ...(plain === 0 ? [] : [`the wire carried ${plain} plain packets after charon was killed`]),
  ];
}

async function answered(from: DemoPod, to: DemoPod): Promise<number> {
  const { stdout } = await from.pod.tryPing(to.virtualIP, PINGS);
  return Number(/ (\d+) received/.exec(stdout)?.[1] ?? 0);
}

/** Removes all pods, also the one without charon. @returns What is left of them. */
export async function removePods(say: Say, pods: readonly DemoPod[]): Promise<string[]> {
  const start = performance.now();
  for (const { pod, conf } of pods) {
    await pod.del(conf);
    await pod.remove();
  }
  const time = (performance.now() - start) / pods.length;
  const nodes = [...new Set(pods.map(({ pod }) => pod.node))];
  const left = (await Promise.all(nodes.map(leftOfPods))).flat();
  say(`\nDEL of all pods: ${time.toFixed(0)} ms each; processes, links, addresses left: ${left.length}`);
  return left;
}

/** What pods had on a node: daemons, the node's ends of their cables, state, reserved addresses. */
async function leftOfPods(node: Node): Promise<string[]> {
  const snapshot = await node.snapshot();
  const has = (section: string, pattern: RegExp) => (snapshot.get(section) ?? []).filter((line) => pattern.test(line));
  const left = [
    ...has("processes", /charon/),
    ...has("links", /veth.* cni0$/),
    ...has("files", /^\/run\/podvpn\/pods\/.|^\/var\/lib\/cni\/networks\/demo\/172\./),
  ];
  return left.map((line) => `left on ${node.name}: ${line}`);
}
