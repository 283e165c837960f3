import type { NodeRecord } from "../../registry/node-record.ts";
import type { KeyChange } from "../driver.ts";

/** What a change of this node's keys depends on. */
export interface RotationInput {
  /** This node's. */
  readonly name: string;
  /** Whether somebody wants it: an operator, or the clock. */
  readonly asked: boolean;
  /** Whether there is a next key on disk: then a change has begun, by this agent or one before it. */
  readonly hasNext: boolean;
  /** Whether no tunnel is to go by the next keys yet; false unless told. */
  readonly isHeldBack?: boolean;
  /** Milliseconds since then. */
  readonly waited: number;
  /** All that the registry has, this one with it. */
  readonly nodes: readonly NodeRecord[];
  /** Of each driver that has a key, as of its last apply; undefined where there was none yet. */
  readonly changes: readonly (KeyChange | undefined)[];
}

/**
 * What to do next. `begin`: make the next keys. `use`: let tunnels go by them. `promote`: put them in the place of the keys. `withdraw`: remove them.
 * After each of these publish the own record, which has the next key exactly as long as there is one, and apply.
 */
export type RotationStep =
  | { readonly do: "nothing" }
  | { readonly do: "wait"; readonly for: string }
  | { readonly do: "begin" }
  | { readonly do: "use" }
  | { readonly do: "promote" }
  | { readonly do: "withdraw"; readonly why: string };

/**
 * Milliseconds in which other nodes that have begun at the same time are heard of. With IPsec a tunnel by a next key that
 * is withdrawn again costs packets: both sides send by the newer tunnel until it is taken away.
 */
export const HELD_BACK = 2000;
/** Milliseconds that a peer gets whose tunnel is up: its registry may be one that is copied every few minutes. */
export const PATIENCE = 600_000;
/** Milliseconds that a peer gets that has no tunnel: perhaps only because nobody had anything to send. */
export const PATIENCE_WITHOUT_TUNNEL = 30_000;

/**
 * The next step of a change of keys. Pure: it follows from what is on disk, in the registry and in the devices, so that an
 * agent which is started anew goes on where the one before it was. Only one node changes its keys at a time: of two
 * that have begun, the one with the smaller name goes on. A peer with a tunnel is never cut off: when it does not take
 * part (its agent does not run), the change is given up.
 */
export function nextStep(input: RotationInput): RotationStep {
  if (!input.hasNext && !input.asked) return { do: "nothing" };
  const changes = input.changes.filter((change) => change !== undefined);
  if (changes.length === 0 || changes.length < input.changes.length)
    return { do: "wait", for: "the drivers to look at their devices" };
  const others = input.nodes.filter((node) => node.name !== input.name && changesKey(node));
  return input.hasNext ? step(input, changes, others) : beginning(input, changes, others);
}

function beginning(
  { nodes, name }: RotationInput,
  changes: readonly KeyChange[],
  others: readonly NodeRecord[],
): RotationStep {
  const [other] = others;
  if (other !== undefined) return { do: "wait", for: `${other.name}, which changes its keys` };
  if (!nodes.some((node) => node.name === name)) return { do: "wait", for: "the registry to have this node's record" };
  const isAtRest = changes.every(({ atRest }) => atRest);
  return isAtRest ? { do: "begin" } : { do: "wait", for: "the end of the change before, of whichever node" };
}

function step(
  { name, nodes, waited, isHeldBack = false }: RotationInput,
  changes: readonly KeyChange[],
  others: readonly NodeRecord[],
): RotationStep {
  const earlier = others.find((other) => other.name < name);
  if (earlier !== undefined) {
    return { do: "withdraw", why: `${earlier.name} changes its keys as well, and of two the first by name goes on` };
  }
  const own = nodes.find((node) => node.name === name);
  if (own === undefined || !changesKey(own)) return { do: "wait", for: "the registry to have the next key" };
  if (isHeldBack) return waited < HELD_BACK ? { do: "wait", for: "others that begin as well" } : { do: "use" };
  const waiting = changes.flatMap(({ peers }) => peers).filter(({ hasMoved }) => !hasMoved);
  const up = waiting.filter(({ hasTunnel }) => hasTunnel);
  if (up.length > 0 && waited >= PATIENCE) {
    return { do: "withdraw", why: `${listed(up)} did not take the next key; see that podvpn agent runs there` };
  }
  if (up.length > 0) return { do: "wait", for: `${listed(up)} to take the next key` };
  if (waiting.length > 0 && waited < PATIENCE_WITHOUT_TUNNEL) {
    return { do: "wait", for: `${listed(waiting)}, which cannot be reached` };
  }
  return { do: "promote" };
}

function changesKey({ wireguard, ipsec }: NodeRecord): boolean {
  return wireguard?.nextPublicKey !== undefined || ipsec?.nextPublicKey !== undefined;
}

const SHOWN = 3;

function listed(peers: readonly { readonly name: string }[]): string {
  const shown = peers.slice(0, SHOWN).map(({ name }) => name);
  const rest = peers.length - shown.length;
  return rest > 0 ? `${shown.join(", ")} and ${rest} more` : shown.join(", ");
}
