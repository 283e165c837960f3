import { Random } from "../../fuzz/support/random.ts";
import { deal, some } from "./deck.ts";
import { type Event, HARMS, HUB_PARTS, type Kind, MOUNTS, NETNS_OF_DEL } from "./event.ts";
import { NODES, PLUGINS, SLOTS, type Slot, slotsOf } from "./slots.ts";
import { after, CALM, impeded, type State, sound } from "./state.ts";

/** The kinds that end a lasting fault are not drawn: they come when their time has come. */
type Drawn = Exclude<Kind, "hub-started" | "link-up" | "disk-freed">;

/** See {@link Rules.pack}. */
const PACK: Readonly<Record<Drawn, number>> = {
  add: 3,
  del: 2,
  "add-killed": 2,
  "del-killed": 1,
  gc: 1,
  check: 1,
  "charon-killed": 1,
  "charon-stopped": 1,
  "wireguard-go-killed": 1,
  "wireguard-go-stopped": 1,
  "hub-killed": 2,
  "hub-terminated": 1,
  "link-down": 1,
  reboot: 1,
  "file-lost": 3,
  clock: 1,
  "disk-full": 1,
  harm: 2,
};

/** About as many as either plugin has. One that is not reached is a call that succeeds. */
const EFFECTS_OF_ADD = 40;
const EFFECTS_OF_DEL = 16;
/** Seconds. */
const OFFSETS = [-400 * 86_400, -86_400, -90, 0, 90, 86_400, 400 * 86_400] as const;

/** One pod after the other in all slots: what is there before the events. */
export function beginning(): State {
  return SLOTS.reduce((state, slot) => after(state, { kind: "add", slot }).state, CALM);
}

/** The events of a seed (see {@link deal}): `beginning()` is what the first one finds. Pure. */
export function generate(seed: number, count: number): Event[] {
  const rules = {
    pack: PACK,
    beginning: beginning(),
    after: (state: State, event: Event) => after(state, event).state,
    make,
    endOf,
  };
  return deal<Event, Drawn, State>(rules, new Random(seed), count);
}

/** The event that ends a lasting fault. Pure. */
export function endOf(event: Event): Event | undefined {
  switch (event.kind) {
    case "hub-killed":
    case "hub-terminated":
      return { kind: "hub-started" };
    case "link-down":
      return { kind: "link-up", node: event.node };
    case "disk-full":
      return { kind: "disk-freed", node: event.node };
    default:
      return undefined;
  }
}

/** An event of this kind; undefined when there can be none. */
function make(kind: Drawn, state: State, random: Random): Event | undefined {
  const { wanted, hub, cut, full } = state;
  const pods = sound(state);
  const empty = SLOTS.filter((slot) => !wanted.has(slot));
  const withSlot = (slots: readonly Slot[], event: (slot: Slot) => Event) => {
    const slot = some(random, slots);
    return slot && event(slot);
  };
  switch (kind) {
    case "add":
      return withSlot(empty, (slot) => ({ kind, slot }));
    case "add-killed":
      return withSlot(
        empty.filter((slot) => !impeded(state, slot)),
        (slot) => ({
          kind,
          slot,
          effect: 1 + random.below(EFFECTS_OF_ADD),
          next: random.pick(["DEL", "ADD"] as const),
        }),
      );
    case "del":
      return withSlot(pods, (slot) => ({ kind, slot, netns: random.pick(NETNS_OF_DEL) }));
    case "del-killed":
      return withSlot(pods, (slot) => ({ kind, slot, effect: 1 + random.below(EFFECTS_OF_DEL) }));
    case "gc":
      return withSlot(pods, (slot) => ({ kind, slot }));
    case "harm": {
      const plugin = random.pick(PLUGINS);
      return withSlot(slotsOf(pods, { plugin }), (slot) => ({ kind, slot, what: random.pick(HARMS[plugin]) }));
    }
    case "charon-killed":
    case "charon-stopped":
      return withSlot(slotsOf(pods, { plugin: "strongswan" }), (slot) => ({ kind, slot }));
    case "wireguard-go-killed":
    case "wireguard-go-stopped":
      return withSlot(slotsOf(pods, { plugin: "wireguard" }), ({ node }) => ({ kind, node }));
    case "hub-killed":
      return hub === "serving" ? { kind, part: random.pick(HUB_PARTS) } : undefined;
    case "hub-terminated":
      return hub === "serving" ? { kind } : undefined;
    case "link-down":
      return cut.size === 0 ? { kind, node: random.pick(NODES) } : undefined;
    case "disk-full":
      return full.size === 0 ? { kind, node: random.pick(NODES), mount: random.pick(MOUNTS) } : undefined;
    case "file-lost": {
      // Not where nothing can be written: what an operator has to put back could not be, either.
      const node = some(
        random,
        NODES.filter((index) => !full.has(index)),
      );
      return node && { kind, node, pick: random.below(1_000_000) };
    }
    case "check":
    case "reboot":
      return { kind, node: random.pick(NODES) };
    case "clock":
      return { kind, machine: random.pick([...NODES, "hub"] as const), offset: random.pick(OFFSETS) };
  }
}
