import { wrapped } from "../status/text.ts";
import type { Node } from "../testbed/node.ts";
import { diffSnapshots, type Snapshot } from "../testbed/snapshot.ts";
import type { DemoPod } from "./lab.ts";
import type { Say } from "./story.ts";
import { BRIDGE, NETWORK } from "./topology.ts";

/** What was on the nodes at some time. */
export type NodeSnapshots = ReadonlyMap<Node, Snapshot>;

/** Everything that a plugin could leave on the nodes, as it is now. */
export async function snapshotNodes(nodes: readonly Node[]): Promise<NodeSnapshots> {
  return new Map(await Promise.all(nodes.map(async (node) => [node, await node.snapshot()] as const)));
}

/** Removes all pods, also those without a tunnel. @returns What is left of them. */
export async function removePods(say: Say, pods: readonly DemoPod[], before: NodeSnapshots): Promise<string[]> {
  const start = performance.now();
  for (const { pod, conf } of pods) {
    await pod.del(conf);
    await pod.remove();
  }
  const time = (performance.now() - start) / pods.length;
  const left = (await Promise.all([...before].map(leftOn))).flat();
  const text = `DEL of all pods: ${time.toFixed(0)} ms each. Left of their processes, links, addresses, routes, rules, filters and files: ${left.length}`;
  say(`\n${wrapped(text, 0)}`);
  return left;
}

async function leftOn([node, before]: readonly [Node, Snapshot]): Promise<string[]> {
  return leftOf(diffSnapshots(before, await node.snapshot())).map((line) => `left on ${node.name}: ${line}`);
}

/** Of the differences of a node those that pods have made. Pure. */
export function leftOf(differences: readonly string[]): string[] {
  return differences.filter((line) => !STAYING.some((pattern) => pattern.test(line)));
}

/**
 * What stays although all pods have gone: the bridge, and host-local's directory without reservations (the reference
 * plugins'); the runtime's empty cache; empty directories of ours and of wireguard-go, and the native addons of our
 * executable, until `podvpn uninstall`.
 */
const STAYING: readonly RegExp[] = [
  new RegExp(`^\\+ (?:links|addresses): ${BRIDGE} `),
  new RegExp(`^\\+ IPv[46] routes: .* dev ${BRIDGE} .*proto kernel`),
  new RegExp(`^\\+ files: /var/lib/cni/networks/(?:${NETWORK}/(?:lock|last_reserved_ip\\.\\d+)?)?$`),
  /^\+ files: \/var\/lib\/cni\/cache\/(?:results\/)?$/,
  /^\+ files: \/run\/(?:podvpn\/(?:pods\/|devices\/)?|wireguard\/)$/,
  /^\+ files: \/var\/lib\/podvpn\/addons\//,
];
