import type { Event, Mount } from "./event.ts";
import { type NodeIndex, type Slot, slotsOf } from "./slots.ts";

/** What should be, as far as the events so far tell: nothing in here was measured. */
export interface State {
  /** Slots that shall have a pod. */
  readonly wanted: ReadonlySet<Slot>;
  /** Of these the ones that need an ADD which cannot succeed now, or may need one: they promise nothing. */
  readonly owed: ReadonlySet<Slot>;
  /** `headless`: charon serves, `podvpn hub` is gone. */
  readonly hub: "serving" | "headless" | "down";
  /** Nodes without a cable. */
  readonly cut: ReadonlySet<NodeIndex>;
  /** Nodes with a full file system. */
  readonly full: ReadonlyMap<NodeIndex, Mount>;
}

/** Before the first event: no pod yet, everything in order. */
export const CALM: State = {
  wanted: new Set(),
  owed: new Set(),
  hub: "serving",
  cut: new Set(),
  full: new Map(),
};

/** What an event asks of the pods that it touches. */
export interface Step {
  readonly state: State;
  /** Pods that must talk after the event without having been added anew. */
  readonly kept: readonly Slot[];
  /** Pods that the runtime may delete and add again, when their CHECK fails; then they must talk. */
  readonly mended: readonly Slot[];
}

/** Pods that promise to talk, as far as there is a way. */
export function sound(state: State): Slot[] {
  return [...state.wanted].filter((slot) => !state.owed.has(slot));
}

/** Whether a slot's pod has its way out: to the hub, or (for wireguard) to other nodes. */
export function connected({ hub, cut }: State, { node, plugin }: Slot): boolean {
  return !cut.has(node) && (plugin === "wireguard" || hub !== "down");
}

/** Whether an ADD in the slot is allowed to fail. */
export function impeded(state: State, slot: Slot): boolean {
  return state.full.has(slot.node) || (slot.plugin === "strongswan" && !connected(state, slot));
}

/** Whether two sound pods must reach each other. */
export function mustTalk(state: State, one: Slot, other: Slot): boolean {
  if (one === other || one.plugin !== other.plugin) return false;
  const near = one.plugin === "wireguard" && one.node === other.node; // over the node's bridge
  return near || (connected(state, one) && connected(state, other));
}

/** The state after an event, and whom it touches. Pure. */
export function after(before: State, event: Event): Step {
  const state = effect(before, event);
  const [mended, kept] = touched(state, event);
  // Whom a fault keeps from being added again is owed it, until the fault has gone.
  const owed = new Set([...state.owed, ...mended].filter((slot) => impeded(state, slot)));
  const freed = [...state.owed].filter((slot) => !owed.has(slot));
  const next = { ...state, owed };
  return {
    state: next,
    mended: [...new Set([...mended, ...freed])].filter((slot) => !owed.has(slot)),
    kept: kept.filter((slot) => !state.owed.has(slot) && !mended.includes(slot) && promises(next, slot)),
  };
}

/** A pod without any way out has nobody to talk to but its neighbour, so that there may be nothing to see. */
function promises(state: State, slot: Slot): boolean {
  return slot.plugin === "wireguard" || connected(state, slot);
}

/** What the events change for whom, before it is asked who is owed what. */
function effect(state: State, event: Event): State {
  switch (event.kind) {
    case "add":
      return { ...state, wanted: new Set([...state.wanted, event.slot]) };
    case "add-killed":
      return event.next === "DEL" ? state : { ...state, wanted: new Set([...state.wanted, event.slot]) };
    case "del":
    case "del-killed":
    case "gc":
      return { ...state, wanted: without(state.wanted, event.slot), owed: without(state.owed, event.slot) };
    case "hub-killed":
      return { ...state, hub: event.part === "process" ? "headless" : "down" };
    case "hub-terminated":
      return { ...state, hub: "down" };
    case "hub-started":
      return { ...state, hub: "serving" };
    case "link-down":
      return { ...state, cut: new Set([...state.cut, event.node]) };
    case "link-up":
      return { ...state, cut: without(state.cut, event.node) };
    case "disk-full":
      return { ...state, full: new Map([...state.full, [event.node, event.mount]]) };
    case "disk-freed":
      return { ...state, full: new Map([...state.full].filter(([node]) => node !== event.node)) };
    default:
      return state;
  }
}

function without<T>(set: ReadonlySet<T>, gone: T): Set<T> {
  return new Set([...set].filter((one) => one !== gone));
}

/** Whom the runtime may have to mend, and who has to stay as he is. */
function touched({ wanted }: State, event: Event): readonly [mended: Slot[], kept: Slot[]] {
  switch (event.kind) {
    case "add":
    case "add-killed":
    case "del":
    case "del-killed":
    case "gc": {
      const own = slotsOf(wanted, { node: event.slot.node }).filter((slot) => slot === event.slot);
      return [own, slotsOf(wanted, { node: event.slot.node }).filter((slot) => slot !== event.slot)];
    }
    case "charon-killed":
    case "charon-stopped":
    case "harm":
      return [[event.slot], []];
    case "file-lost":
    case "reboot":
      return [slotsOf(wanted, { node: event.node }), []];
    case "wireguard-go-killed":
    case "wireguard-go-stopped":
      return killedDevice(wanted, event.node);
    case "check":
    case "link-down":
    case "link-up":
    case "disk-full":
    case "disk-freed":
      return [[], slotsOf(wanted, { node: event.node })];
    case "hub-killed":
    case "hub-terminated":
    case "hub-started":
      return [[], slotsOf(wanted, { plugin: "strongswan" })];
    case "clock":
      return [[], slotsOf(wanted, event.machine === "hub" ? { plugin: "strongswan" } : { node: event.machine })];
  }
}

/** CHECK makes the device again, so no pod has to go: but on a full disk it cannot, and they are owed it. */
function killedDevice(wanted: ReadonlySet<Slot>, node: NodeIndex): readonly [mended: Slot[], kept: Slot[]] {
  return [slotsOf(wanted, { node, plugin: "wireguard" }), slotsOf(wanted, { node, plugin: "strongswan" })];
}

/** The events that end all lasting faults. */
export function healing({ hub, cut, full }: State): Event[] {
  return [
    ...[...full.keys()].map((node): Event => ({ kind: "disk-freed", node })),
    ...[...cut].map((node): Event => ({ kind: "link-up", node })),
    ...(hub === "serving" ? [] : [{ kind: "hub-started" } as const]),
  ];
}
