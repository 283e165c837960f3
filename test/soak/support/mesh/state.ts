import type { Driver } from "../../../../src/registry/node-record.ts";
import type { MeshEvent } from "./event.ts";
import { NODES, type NodeIndex, PAIRS, type Pair, pairOf, pairsOf } from "./nodes.ts";

/** What should be, as far as the events so far tell: nothing in here was measured. */
export interface MeshState {
  readonly joined: ReadonlySet<NodeIndex>;
  /** Of these the ones whose agent does not run. */
  readonly dead: ReadonlySet<NodeIndex>;
  /** As each node is configured, the preferred one first. */
  readonly drivers: ReadonlyMap<NodeIndex, readonly Driver[]>;
  /** Nodes without a cable. */
  readonly unplugged: ReadonlySet<NodeIndex>;
  /** Pairs that nothing passes between in one direction at least. */
  readonly cut: ReadonlySet<Pair>;
  /** Nodes whose file in the registry is damaged, or gone, and no agent mends it. */
  readonly damaged: ReadonlySet<NodeIndex>;
  readonly removed: ReadonlySet<NodeIndex>;
  /** The registry cannot be read. */
  readonly isAway: boolean;
  /** Pairs of which one node has changed what the other has no agent to hear of: they promise nothing. */
  readonly stale: ReadonlySet<Pair>;
}

/** How one node has to see another one; `anything` where both are right. */
export type Sight = "up" | "without agent" | "not up" | "down" | "no driver" | "absent" | "anything";

/** The driver of a pair; undefined when they have none in common. The rule is the README's: what both want most. */
export function driverOf({ drivers }: MeshState, { nodes: [one, other] }: Pair): Driver | undefined {
  const [mine, theirs] = [drivers.get(one) ?? [], drivers.get(other) ?? []];
  const rank = (driver: Driver) => mine.indexOf(driver) + theirs.indexOf(driver);
  const common = mine.filter((driver) => theirs.includes(driver)).sort(); // of equal ones wireguard
  return common.reverse().sort((a, b) => rank(a) - rank(b))[0];
}

/** Whether what one of a pair sends must come to the other, and back. */
export function mustTalk(state: MeshState, pair: Pair): boolean {
  const { joined, unplugged, cut, removed, stale } = state;
  if (cut.has(pair) || stale.has(pair) || driverOf(state, pair) === undefined) return false;
  return pair.nodes.every((node) => joined.has(node) && !unplugged.has(node) && !removed.has(node));
}

/** What the status of a node with an agent has to say of another one. */
export function sightOf(state: MeshState, from: NodeIndex, of: NodeIndex): Sight {
  const pair = pairOf(from, of);
  if (state.stale.has(pair) || state.removed.has(of)) return "anything";
  if (!state.joined.has(of)) return "absent";
  if (driverOf(state, pair) === undefined) return "no driver";
  // What still comes of a node without an agent may hide that nothing gets there: nobody there tells.
  if (!mustTalk(state, pair)) return state.cut.has(pair) && state.dead.has(of) ? "not up" : "down";
  return state.dead.has(of) ? "without agent" : "up";
}

/** Whether a node has to tell that all is well; undefined where both are right. */
export function isWell(state: MeshState, node: NodeIndex): boolean | undefined {
  if (state.dead.has(node) || state.isAway || state.damaged.size > 0) return false;
  const sights = NODES.filter((other) => other !== node).map((other) => sightOf(state, node, other));
  if (sights.some((sight) => sight !== "up" && sight !== "absent" && sight !== "anything")) return false;
  return sights.includes("anything") ? undefined : true;
}

/** Whether nothing keeps a change of keys from coming to its end. */
export function isCalm({ dead, unplugged, cut, removed, damaged, isAway }: MeshState): boolean {
  return !isAway && [dead, unplugged, cut, removed, damaged].every(({ size }) => size === 0);
}

/** The state after an event. Pure. */
export function after(before: MeshState, event: MeshEvent): MeshState {
  const state = effect(before, event);
  const stale = new Set([...state.stale, ...newsOf(event)]);
  return { ...state, stale: new Set([...stale].filter(({ nodes }) => nodes.some((node) => state.dead.has(node)))) };
}

/** Of whom something is to be heard that the others need to know. */
function newsOf(event: MeshEvent): readonly Pair[] {
  switch (event.kind) {
    case "join":
    case "leave":
    case "moved":
      return pairsOf(event.node);
    case "configured":
      return "drivers" in event ? pairsOf(event.node) : [];
    default:
      return [];
  }
}

function effect(state: MeshState, event: MeshEvent): MeshState {
  const { joined, dead, drivers, unplugged, cut, damaged, removed } = state;
  switch (event.kind) {
    case "join":
      return { ...state, joined: new Set([...joined, event.node]) };
    case "leave":
      return { ...state, joined: without(joined, event.node) };
    case "agent-killed":
    case "agent-ended":
      return { ...state, dead: new Set([...dead, event.node]) };
    case "agent-started": // it publishes its own record at once
      return {
        ...state,
        dead: without(dead, event.node),
        ...(!state.isAway && { damaged: without(damaged, event.node), removed: without(removed, event.node) }),
      };
    case "file-damaged":
      return event.mender === "agent" ? state : { ...state, damaged: new Set([...damaged, event.node]) };
    case "file-removed":
      return event.mender === "agent" ? state : { ...state, removed: new Set([...removed, event.node]) };
    case "file-restored":
      return { ...state, damaged: without(damaged, event.node), removed: without(removed, event.node) };
    case "registry-away":
      return { ...state, isAway: true };
    case "registry-back":
      return { ...state, isAway: false };
    case "cut":
      return { ...state, cut: new Set([...cut, event.pair]) };
    case "healed":
      return { ...state, cut: without(cut, event.pair) };
    case "link-down":
      return { ...state, unplugged: new Set([...unplugged, event.node]) };
    case "link-up":
      return { ...state, unplugged: without(unplugged, event.node) };
    case "configured":
      return "drivers" in event ? { ...state, drivers: new Map([...drivers, [event.node, event.drivers]]) } : state;
    default:
      return state;
  }
}

/** Whom an event may cost packets: everybody else loses none. Pure. */
export function concerned(event: MeshEvent): readonly Pair[] {
  switch (event.kind) {
    case "join":
    case "leave":
    case "daemon-killed":
    case "link-down":
    case "link-up":
    case "moved":
    case "file-removed": // a record that is gone counts as gone half a second later
    case "file-restored":
      return pairsOf(event.node);
    case "cut":
    case "healed":
      return [event.pair];
    case "configured":
      return "drivers" in event ? pairsOf(event.node) : [];
    default:
      return [];
  }
}

/** Pairs that talk before an event and after it, and may lose nothing by it. Pure. */
export function untouched(before: MeshState, event: MeshEvent): Pair[] {
  const state = after(before, event);
  const lossy = new Set(concerned(event));
  return PAIRS.filter((pair) => !lossy.has(pair) && mustTalk(before, pair) && mustTalk(state, pair));
}

/** The nodes that an event is done to. Pure. */
export function nodesOf(event: MeshEvent): readonly NodeIndex[] {
  if ("node" in event) return [event.node];
  if ("nodes" in event) return event.nodes;
  return "pair" in event ? event.pair.nodes : [];
}

/** The events that end all lasting faults. Pure. */
export function healing({ dead, unplugged, cut, damaged, removed, isAway }: MeshState): MeshEvent[] {
  return [
    ...(isAway ? [{ kind: "registry-back" } as const] : []),
    ...[...cut].map((pair): MeshEvent => ({ kind: "healed", pair })),
    ...[...unplugged].map((node): MeshEvent => ({ kind: "link-up", node })),
    ...[...damaged, ...removed].map((node): MeshEvent => ({ kind: "file-restored", node })),
    ...[...dead].map((node): MeshEvent => ({ kind: "agent-started", node })),
  ];
}

/** The events after which all nodes have a driver in common. Pure. */
export function agreeing({ joined, drivers }: MeshState): MeshEvent[] {
  const others = [...joined].filter((node) => drivers.get(node)?.includes("wireguard") !== true);
  return others.map((node) => ({ kind: "configured", node, drivers: ["wireguard", "ipsec"] }));
}

/** The state on one line. Pure. */
export function situationOf({
  joined,
  dead,
  drivers,
  unplugged,
  cut,
  damaged,
  removed,
  isAway,
  stale,
}: MeshState): string {
  const listed = (what: string, items: Iterable<NodeIndex | Pair>) => {
    const names = [...items].map((item) => (typeof item === "number" ? `n${item}` : item.name));
    return names.length === 0 ? [] : [`${what}: ${names.join(" ")}`];
  };
  return [
    `joined: ${[...joined].map((node) => `n${node} (${drivers.get(node)?.join(", ")})`).join(" ")}`,
    ...listed("without agent", dead),
    ...listed("without cable", unplugged),
    ...listed("cut", cut),
    ...listed("damaged", damaged),
    ...listed("removed", removed),
    ...(isAway ? ["the registry is away"] : []),
    ...listed("not asked", stale),
  ].join("; ");
}

function without<T>(set: ReadonlySet<T>, gone: T): Set<T> {
  return new Set([...set].filter((one) => one !== gone));
}
