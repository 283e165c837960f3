import type { AgentStatus, PeerStatus } from "../../../../src/agent/status.ts";
import { patience } from "../../../../src/testbed/patience.ts";
import type { MeshScene } from "./act.ts";
import { ANCHORS, NODES, type NodeIndex, othersThan, PAIRS, type Pair, pairOf } from "./nodes.ts";
import { driverOf, isCalm, isWell, type MeshState, mustTalk, sightOf } from "./state.ts";

/** Milliseconds in which all must be as it should. Generous: what is measured is told, and a busy machine is no fault. */
const BOUND = 60_000;
/** Of which a change of keys may wait half a minute for each node that was cut off when it began. */
const BOUND_OF_KEYS = 180_000;

/**
 * Waits until everything is as the state says: all pairs that must talk do, in both families, so do pods; each agent
 * tells of each other node what is true, and whether it is well; and no change of keys is under way that nothing hinders.
 * @throws Error that tells what is not so in time.
 */
export async function settle({ nodes, pods }: MeshScene, state: MeshState): Promise<void> {
  const start = performance.now();
  let open: readonly Pair[] = PAIRS.filter((pair) => mustTalk(state, pair));
  for (;;) {
    open = await silent(nodes, open);
    const [told, keys, mute] = await Promise.all([
      Promise.all(livingNodes(state).map(async (node) => untruths(state, node, await nodes.status(node)))),
      isCalm(state) ? changingKeys(nodes, state) : [],
      mutePods({ nodes, pods }, state),
    ]);
    const wrong = [...open.map(({ name }) => `${name} does not talk`), ...told.flat(), ...mute];
    if (wrong.length + keys.length === 0) return;
    const bound = wrong.length > 0 ? BOUND : BOUND_OF_KEYS;
    if (performance.now() - start > patience(bound)) {
      throw new Error(`not within ${bound / 1000} s:\n${[...wrong, ...keys].join("\n")}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function livingNodes({ joined, dead }: MeshState): NodeIndex[] {
  return NODES.filter((node) => joined.has(node) && !dead.has(node));
}

/** The pairs of these that do not talk, in one family at least. */
async function silent(nodes: MeshScene["nodes"], pairs: readonly Pair[]): Promise<Pair[]> {
  const talks = await Promise.all(
    pairs.map(async ({ nodes: [one, other] }) => {
      const families = await Promise.all([nodes.answers(one, other, 4), nodes.answers(other, one, 6)]);
      return families.every((answered) => answered);
    }),
  );
  return pairs.filter((_, index) => talks[index] !== true);
}

/** What an agent tells that is not so, or does not tell. Pure. */
export function untruths(state: MeshState, node: NodeIndex, status: AgentStatus | undefined): string[] {
  if (status === undefined) return [`n${node} has no agent`];
  const wrong = othersThan(node).flatMap((other) => {
    const what = wrongSight(state, node, other, status);
    return what === undefined ? [] : [`n${node} of n${other}: ${what}`];
  });
  const well = isWell(state, node);
  if (well !== undefined && well !== status.healthy) {
    wrong.push(`n${node} is ${well ? "well" : "not well"}, and tells ${status.problems.join("; ") || "that it is"}`);
  }
  return wrong;
}

function wrongSight(state: MeshState, node: NodeIndex, other: NodeIndex, status: AgentStatus): string | undefined {
  const name = `n${other}`;
  const peer = status.peers.find((each) => each.name === name);
  const sight = sightOf(state, node, other);
  const seen = `${peer === undefined ? "no peer" : told(peer)} instead of ${sight}`;
  switch (sight) {
    case "anything":
      return undefined;
    case "absent":
      return peer === undefined ? undefined : seen;
    case "no driver":
      return peer === undefined && status.unreachable.some((each) => each.name === name) ? undefined : seen;
    case "not up":
      return peer?.state === "down" || peer?.state === "degraded" ? undefined : seen;
    case "down":
      return peer?.state === "down" ? undefined : seen;
    case "without agent":
      return peer?.state === "degraded" && /agent/.test(peer.reason ?? "") ? undefined : seen;
    case "up": {
      const driver = driverOf(state, pairOf(node, other));
      return peer?.state === "up" && peer.driver === driver ? undefined : `${seen} by ${driver}`;
    }
  }
}

function told({ state, driver, reason }: PeerStatus): string {
  return [`${state} by ${driver}`, ...(reason === undefined ? [] : [reason])].join(", ");
}

/** Of whom an agent tells that keys change, and what that waits for. */
async function changingKeys(nodes: MeshScene["nodes"], state: MeshState): Promise<string[]> {
  const statuses = await Promise.all(livingNodes(state).map(async (node) => [node, await nodes.status(node)] as const));
  return statuses.flatMap(([node, told]) => {
    return told?.rotation === undefined ? [] : [`the keys of n${node} wait for ${told.rotation.waitsFor}`];
  });
}

/** What CHECK says of the pods, and whom they do not reach: each other, and the nodes that theirs talks to. */
async function mutePods({ nodes, pods }: Pick<MeshScene, "nodes" | "pods">, state: MeshState): Promise<string[]> {
  const found = await Promise.all(
    ANCHORS.filter((node) => pods.addresses(node) !== undefined).map(async (node) => {
      const complaint = await pods.check(node);
      const others = othersThan(node).filter((other) => mustTalk(state, pairOf(node, other)));
      const targets = others.flatMap((other) => {
        const ways = [nodes.addresses.get(other), pods.addresses(other)];
        return ways.flatMap((addresses) => (addresses === undefined ? [] : Object.values(addresses)));
      });
      const answered = await Promise.all(targets.map((target) => pods.reaches(node, target)));
      const silent = targets.filter((_, index) => answered[index] !== true);
      return [
        ...(complaint === undefined ? [] : [`CHECK of the pod of n${node}: ${complaint}`]),
        ...silent.map((target) => `the pod of n${node} gets no answer of ${target}`),
      ];
    }),
  );
  return found.flat();
}
