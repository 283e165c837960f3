import type { Driver } from "../../../../src/registry/node-record.ts";
import { Random } from "../../../fuzz/support/random.ts";
import { deal, some } from "../deck.ts";
import { ABSENCES, DAMAGES, type MeshEvent, type MeshKind } from "./event.ts";
import { ANCHORS, NODES, type NodeIndex, PAIRS, pairsOf } from "./nodes.ts";
import { after, driverOf, type MeshState } from "./state.ts";

/** The kinds that end a lasting fault are not drawn: they come when their time has come. */
type Drawn = Exclude<MeshKind, "agent-started" | "healed" | "link-up" | "file-restored" | "registry-back">;

const PACK: Readonly<Record<Drawn, number>> = {
  join: 2,
  leave: 2,
  "agent-killed": 2,
  "agent-ended": 1,
  "agent-replaced": 1,
  "daemon-killed": 2,
  rotate: 2,
  cut: 2,
  "link-down": 1,
  moved: 1,
  "file-damaged": 2,
  "file-removed": 1,
  "registry-away": 1,
  configured: 2,
  "pod-replaced": 1,
};

/** Of nodes with pods. */
const DRIVERS_OF_ANCHORS: readonly (readonly Driver[])[] = [["wireguard"], ["wireguard", "ipsec"]];
const DRIVERS: readonly (readonly Driver[])[] = [["ipsec", "wireguard"], ["ipsec"], ...DRIVERS_OF_ANCHORS];

/** Bytes: what a tunnel over IPv6 leaves of the smallest is still an MTU of IPv6. */
const MTUS = ["auto", 1400, 1450] as const;
const LABELS = 1000;
/** Nodes that stay, besides the anchors. */
const FEWEST = ANCHORS.length + 1;

/** Before the first event: four nodes have joined, with drivers that are the seed's. Pure. */
export function beginning(seed: number): MeshState {
  const random = new Random(seed);
  return {
    joined: new Set(NODES.slice(0, 4)),
    dead: new Set(),
    drivers: new Map(NODES.map((node) => [node, random.pick(driversFor(node))])),
    unplugged: new Set(),
    cut: new Set(),
    damaged: new Set(),
    removed: new Set(),
    isAway: false,
    stale: new Set(),
  };
}

/** The events of a seed (see {@link deal}): `beginning(seed)` is what the first one finds. Pure. */
export function generate(seed: number, count: number): MeshEvent[] {
  const rules = { pack: PACK, beginning: beginning(seed), after, make, endOf };
  return deal<MeshEvent, Drawn, MeshState>(rules, new Random(seed), count);
}

/** The event that ends a lasting fault. Pure. */
export function endOf(event: MeshEvent): MeshEvent | undefined {
  switch (event.kind) {
    case "agent-killed":
    case "agent-ended":
      return { kind: "agent-started", node: event.node };
    case "cut":
      return { kind: "healed", pair: event.pair };
    case "link-down":
      return { kind: "link-up", node: event.node };
    case "file-damaged":
    case "file-removed":
      return event.mender === "operator" ? { kind: "file-restored", node: event.node } : undefined;
    case "registry-away":
      return { kind: "registry-back" };
    default:
      return undefined;
  }
}

/** An event of this kind; undefined when there can be none. */
function make(kind: Drawn, state: MeshState, random: Random): MeshEvent | undefined {
  const { joined, dead, unplugged, cut, damaged, removed, isAway } = state;
  const alive = NODES.filter((node) => joined.has(node) && !dead.has(node));
  const withNode = (nodes: readonly NodeIndex[], event: (node: NodeIndex) => MeshEvent | undefined) => {
    const node = some(random, nodes);
    return node && event(node);
  };
  switch (kind) {
    case "join":
      return isAway
        ? undefined
        : withNode(
            NODES.filter((node) => !joined.has(node)),
            (node) => ({ kind, node }),
          );
    case "leave":
      return isAway || joined.size <= FEWEST
        ? undefined
        : withNode(
            alive.filter((node) => mayLeave(state, node)),
            (node) => ({ kind, node }),
          );
    case "agent-killed":
    case "agent-ended":
      return withNode(alive, (node) => ({ kind, node }));
    case "agent-replaced":
      return withNode(alive, (node) => ({ kind, node, signal: random.pick(["SIGKILL", "SIGTERM"] as const) }));
    case "daemon-killed":
      return withNode(alive, (node) => {
        const driver = some(random, driversInUse(state, node));
        return driver && { kind, node, driver };
      });
    case "rotate": {
      if (isAway || alive.length === 0) return undefined;
      const nodes = new Set([random.pick(alive), random.pick(alive)]);
      return { kind, nodes: [...nodes].sort() };
    }
    case "cut": {
      const pairs = PAIRS.filter((pair) => pair.nodes.every((node) => joined.has(node)) && driverOf(state, pair));
      const pair = cut.size > 0 ? undefined : some(random, pairs);
      return pair && { kind, pair, from: random.pick(pair.nodes), way: random.pick(["one", "both"] as const) };
    }
    case "link-down":
      return unplugged.size > 0 ? undefined : withNode([...joined], (node) => ({ kind, node }));
    case "moved":
      return isAway ? undefined : withNode(alive, (node) => ({ kind, node, family: random.pick([4, 6] as const) }));
    case "file-damaged":
    case "file-removed": {
      if (isAway || damaged.size + removed.size > 0) return undefined;
      // Rather one that nobody mends at once.
      return withNode(dead.size > 0 ? [...dead] : [...joined], (node) => {
        const mender = dead.has(node) ? ("operator" as const) : ("agent" as const);
        return kind === "file-removed" ? { kind, node, mender } : { kind, node, how: random.pick(DAMAGES), mender };
      });
    }
    case "registry-away":
      return isAway || damaged.size + removed.size > 0 ? undefined : { kind, how: random.pick(ABSENCES) };
    case "configured":
      return isAway ? undefined : withNode(alive, (node) => configured(state, node, random));
    case "pod-replaced":
      return { kind, node: random.pick(ANCHORS) };
  }
}

function configured({ drivers }: MeshState, node: NodeIndex, random: Random): MeshEvent {
  const kind = "configured";
  switch (random.pick(["mtu", "label", "drivers"] as const)) {
    case "mtu":
      return { kind, node, mtu: random.pick(MTUS) };
    case "label":
      return { kind, node, label: String(random.below(LABELS)) };
    case "drivers":
      return { kind, node, drivers: random.pick(driversFor(node).filter((each) => each !== drivers.get(node))) };
  }
}

function driversFor(node: NodeIndex): readonly (readonly Driver[])[] {
  return ANCHORS.some((anchor) => anchor === node) ? DRIVERS_OF_ANCHORS : DRIVERS;
}

/** Not one that something is the matter with: what it leaves behind could not be told from that. */
function mayLeave({ unplugged, cut, damaged, removed }: MeshState, node: NodeIndex): boolean {
  if (ANCHORS.some((anchor) => anchor === node)) return false;
  return (
    ![unplugged, damaged, removed].some((nodes) => nodes.has(node)) && !pairsOf(node).some((pair) => cut.has(pair))
  );
}

/** Those that the node needs for somebody, as far as that is known. */
function driversInUse(state: MeshState, node: NodeIndex): Driver[] {
  const pairs = pairsOf(node).filter((pair) => pair.nodes.every((each) => state.joined.has(each)));
  const sure = pairs.filter((pair) => !state.stale.has(pair));
  return [...new Set(sure.flatMap((pair) => driverOf(state, pair) ?? []))];
}
