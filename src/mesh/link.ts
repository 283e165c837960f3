import type { Driver, NodeRecord } from "../registry/node-record.ts";
import { candidatesTo, Reach, reachBy } from "./candidates.ts";
import type { Candidate } from "./mesh-plan.ts";

/** What two nodes make between them, from the records of both alone; as the first of them sees it. */
export interface Link {
  readonly driver: Driver;
  /** Where the first may reach the second. Empty: it waits to be reached. */
  readonly candidates: readonly Candidate[];
  /** Whether the first starts; the second then does not. */
  readonly initiates: boolean;
  /** Whether the second cannot start, or not surely: the first must keep open what it has started. */
  readonly holdsOpen: boolean;
}

/** Two nodes between which no tunnel is possible. */
export interface NoLink {
  readonly reason: string;
}

/**
 * The tunnel between two nodes. Both compute it, each for itself, and come to the same: {@link NoLink} is one for both, the
 * driver is the same, and of `initiates` exactly one is true. Who starts is who reaches the other more surely (a node
 * behind a NAT, which has no public address, starts towards another site); where that is equal, the first by name. Pure.
 */
export function linkBetween(own: NodeRecord, peer: NodeRecord): Link | NoLink {
  const driver = negotiated(own, peer);
  if (driver === undefined) return { reason: noDriver(own, peer) };
  const candidates = candidatesTo(peer, own);
  const there = reachBy(candidates, peer, own);
  const back = reachBy(candidatesTo(own, peer), own, peer);
  if (there === Reach.none && back === Reach.none) return { reason: noAddress(own, peer) };
  const initiates = there === back ? own.name < peer.name : there > back;
  return { driver, candidates, initiates, holdsOpen: there > back };
}

/** Whether that is why there is none, and not what there is. */
export function isNoLink(result: object | NoLink): result is NoLink {
  return "reason" in result;
}

/** Most wanted by both together: the smallest sum of both ranks. WireGuard where that is equal. */
function negotiated(own: NodeRecord, peer: NodeRecord): Driver | undefined {
  const common = DRIVERS.filter((driver) => offers(own, driver) && offers(peer, driver));
  const rank = (driver: Driver) => own.drivers.indexOf(driver) + peer.drivers.indexOf(driver);
  return common.toSorted((one, other) => rank(one) - rank(other))[0]; // stable: of equal ones the first of DRIVERS
}

/** In the order that decides where both are wanted alike. */
const DRIVERS: readonly Driver[] = ["wireguard", "ipsec"];

/** A driver that a node lists without an identity for it is of no use to its peers. */
function offers(node: NodeRecord, driver: Driver): boolean {
  return node.drivers.includes(driver) && node[driver] !== undefined;
}

function noDriver(own: NodeRecord, peer: NodeRecord): string {
  const [one, other] = inOrder(own, peer).map((node) => {
    const offered = DRIVERS.filter((driver) => offers(node, driver));
    return `${node.name} has ${offered.length === 0 ? "none" : offered.join(" and ")}`;
  });
  return `no driver in common: ${one}, ${other}; give both one in "drivers"`;
}

function noAddress(own: NodeRecord, peer: NodeRecord): string {
  const [one, other] = inOrder(own, peer).map(({ name }) => name);
  return `neither ${one} nor ${other} has an underlay address that the other can use; add one of the same family, or a public one, to "underlay" of either`;
}

/** The reason is the same on both sides. */
function inOrder(own: NodeRecord, peer: NodeRecord): readonly NodeRecord[] {
  return own.name < peer.name ? [own, peer] : [peer, own];
}
