import type { Prefix } from "../net/prefix.ts";
import type { MeshPlan, PlannedPeer, Unreachable } from "./mesh-plan.ts";

/** A peer of both plans that is not the same in both. */
export interface ChangedPeer {
  readonly before: PlannedPeer;
  readonly after: PlannedPeer;
  /** What is not the same; never empty. */
  readonly fields: readonly PeerField[];
}

export type PeerField = Exclude<keyof PlannedPeer, "name">;

/** What came to a list, and what left it. */
export interface ListDifference<T> {
  readonly added: readonly T[];
  readonly removed: readonly T[];
}

/** What is in one plan and not in the other; all in the order of the plans. */
export interface PlanDifference {
  readonly added: readonly PlannedPeer[];
  readonly removed: readonly PlannedPeer[];
  readonly changed: readonly ChangedPeer[];
  /** `added`: also those that are so for another reason now. */
  readonly unreachable: ListDifference<Unreachable>;
  readonly guarded: ListDifference<Prefix>;
  readonly podPrefixes: ListDifference<Prefix>;
  readonly forwards: boolean;
}

/** From one plan of a node to its next one; without one before, all of it is new. Pure. */
export function diffPlans(before: MeshPlan | undefined, after: MeshPlan): PlanDifference {
  const old = before ?? NOTHING;
  const oldPeers = new Map(old.peers.map((peer) => [peer.name, peer]));
  const newPeers = new Set(after.peers.map(({ name }) => name));
  return {
    added: after.peers.filter(({ name }) => !oldPeers.has(name)),
    removed: old.peers.filter(({ name }) => !newPeers.has(name)),
    changed: after.peers.flatMap((peer) => {
      const there = oldPeers.get(peer.name);
      return there === undefined ? [] : changedPeer(there, peer);
    }),
    unreachable: unreachableDifference(old.unreachable, after.unreachable),
    guarded: listDifference(old.guarded, after.guarded),
    podPrefixes: listDifference(old.podPrefixes, after.podPrefixes),
    forwards: old.forwards !== after.forwards,
  };
}

/** Whether the two plans are the same. Pure. */
export function isSamePlan(difference: PlanDifference): boolean {
  const { added, removed, changed, unreachable, guarded, podPrefixes, forwards } = difference;
  const lists = [
    added,
    removed,
    changed,
    ...[unreachable, guarded, podPrefixes].flatMap((of) => [of.added, of.removed]),
  ];
  return !forwards && lists.every((list) => list.length === 0);
}

/** The same plan, in which whoever has not changed is the very object that the plan before has: to be told by identity. Pure. */
export function withUnchanged(before: MeshPlan | undefined, after: MeshPlan, difference: PlanDifference): MeshPlan {
  if (before === undefined) return after;
  const { added, changed } = difference;
  const others = new Set([...added, ...changed.map((change) => change.after)]);
  const kept = new Map(before.peers.map((peer) => [peer.name, peer]));
  return { ...after, peers: after.peers.map((peer) => (others.has(peer) ? peer : (kept.get(peer.name) ?? peer))) };
}

/** What is in `after` and not in `before`, and the other way round. Pure. */
export function listDifference<T extends string>(before: readonly T[], after: readonly T[]): ListDifference<T> {
  const old = new Set(before);
  const now = new Set(after);
  return { added: after.filter((one) => !old.has(one)), removed: before.filter((one) => !now.has(one)) };
}

const NOTHING: Pick<MeshPlan, "peers" | "unreachable" | "guarded" | "podPrefixes" | "forwards"> = {
  peers: [],
  unreachable: [],
  guarded: [],
  podPrefixes: [],
  forwards: false,
};

/** All fields of a peer; test/unit/mesh/diff.test.ts fails for one that is missing. */
const FIELDS: readonly PeerField[] = [
  "driver",
  "candidates",
  "prefixes",
  "localPrefixes",
  "probes",
  "initiates",
  "keepalive",
  "mtu",
  "wireguard",
  "ipsec",
];

function changedPeer(before: PlannedPeer, after: PlannedPeer): ChangedPeer[] {
  const fields = FIELDS.filter((field) => !sameValue(before[field], after[field]));
  return fields.length === 0 ? [] : [{ before, after, fields }];
}

/** Whether two values of plain data are the same, whatever the order of their keys. */
function sameValue(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((value, index) => sameValue(value, other[index]));
  }
  const [left, right] = [new Map(defined(one)), new Map(defined(other))];
  return (
    left.size === right.size && [...left].every(([key, value]) => right.has(key) && sameValue(value, right.get(key)))
  );
}

function defined(of: object): [string, unknown][] {
  return Object.entries(of).filter(([, value]) => value !== undefined);
}

function unreachableDifference(
  before: readonly Unreachable[],
  after: readonly Unreachable[],
): ListDifference<Unreachable> {
  const old = new Map(before.map(({ name, reason }) => [name, reason]));
  const now = new Set(after.map(({ name }) => name));
  return {
    added: after.filter(({ name, reason }) => old.get(name) !== reason),
    removed: before.filter(({ name }) => !now.has(name)),
  };
}
