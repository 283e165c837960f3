import type { ChildSa, IkeSa } from "vici";
import { type Address, parseAddress } from "../net/address.ts";
import { aggregate } from "../net/aggregate.ts";
import { type Prefix, parsePrefix } from "../net/prefix.ts";
import { type MeshName, parseMeshName, parseTrapName, type TrapName } from "./mesh-name.ts";

/** A connection of the mesh that charon has. */
export interface HeldConnection {
  readonly text: string;
  readonly name: MeshName;
  /** Where it finds the peer; undefined: nowhere. */
  readonly endpoint?: Address;
}

/** An IKE_SA of the mesh that charon has, or a try at one. */
export interface HeldSa {
  readonly uniqueid: number;
  readonly name: MeshName;
  readonly state: string;
  /** Whether this side began it. */
  readonly initiator: boolean;
  /** Undefined: not known yet. */
  readonly remoteHost: Address | undefined;
  readonly childSas: readonly Pick<ChildSa, "state" | "localTs" | "remoteTs">[];
}

/** The policies of a side that answers, with libipsec. */
export interface HeldTrap {
  readonly text: string;
  readonly name: TrapName;
}

/** What charon has for one peer. */
export interface HeldPeer {
  readonly connections: readonly HeldConnection[];
  readonly traps: readonly HeldTrap[];
  /** Without those that are about to end. */
  readonly sas: readonly HeldSa[];
}

/** States of an IKE_SA that is about to end. */
const GOING: ReadonlySet<string> = new Set(["DELETING", "DESTROYING", "REKEYED"]);

/** States of a CHILD_SA in which it carries what it is for. */
const CARRYING: ReadonlySet<string> = new Set(["INSTALLED", "UPDATING", "REKEYING"]);

/** What charon has of the mesh, by the label of the peer. What is not the mesh's is left out. Pure. */
export function heldPeers(
  connections: readonly { readonly name: string; readonly remoteAddrs: readonly string[] }[],
  sas: readonly Pick<IkeSa, "name" | "uniqueid" | "state" | "initiator" | "remoteHost" | "childSas">[],
): ReadonlyMap<string, HeldPeer> {
  const peers = new Map<string, { connections: HeldConnection[]; traps: HeldTrap[]; sas: HeldSa[] }>();
  const of = ({ peer }: Pick<MeshName, "peer">) => {
    const known = peers.get(peer) ?? { connections: [], traps: [], sas: [] };
    peers.set(peer, known);
    return known;
  };
  for (const { name: text, remoteAddrs } of connections) {
    const trap = parseTrapName(text);
    if (trap !== undefined) of(trap).traps.push({ text, name: trap });
    const name = parseMeshName(text);
    if (name === undefined) continue;
    const endpoint = remoteAddrs.map(parseAddress).find((address) => address !== undefined);
    of(name).connections.push({ text, name, ...(endpoint && { endpoint }) });
  }
  for (const { name: text, ...sa } of sas) {
    const name = parseMeshName(text);
    if (name === undefined || GOING.has(sa.state)) continue;
    of(name).sas.push({ ...sa, name, remoteHost: parseAddress(sa.remoteHost) });
  }
  return peers;
}

/** Whether packets can go by it. Pure. */
export function isCarrying({ state, childSas }: HeldSa): boolean {
  const isThere = state === "ESTABLISHED" || state === "REKEYING";
  return isThere && childSas.some((child) => CARRYING.has(child.state));
}

/** Whether it is for these prefixes, no fewer and no others. Pure. @param local Aggregated, as `remote` is. */
export function carriesExactly(sa: HeldSa, local: readonly Prefix[], remote: readonly Prefix[]): boolean {
  return sa.childSas.some(
    (child) => CARRYING.has(child.state) && same(child.localTs, local) && same(child.remoteTs, remote),
  );
}

/** What it carries to the peer. Pure. */
export function carriedTo({ childSas }: HeldSa): Prefix[] {
  return prefixesOf(childSas.filter(({ state }) => CARRYING.has(state)).flatMap(({ remoteTs }) => remoteTs));
}

function same(selectors: readonly string[], prefixes: readonly Prefix[]): boolean {
  return aggregate(prefixesOf(selectors)).join() === prefixes.join();
}

/** Selectors for single ports or protocols are none of ours. */
function prefixesOf(selectors: readonly string[]): Prefix[] {
  return selectors.map(parsePrefix).filter((prefix) => prefix !== undefined);
}
