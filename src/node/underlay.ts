import type { WireguardConfig } from "../config/wireguard.ts";
import { Code, Fault } from "../fault.ts";
import { type Address, family } from "../net/address.ts";
import { tunnelMtu } from "../net/mtu.ts";
import { hostPrefix, type Prefix, prefixOf } from "../net/prefix.ts";
import { listAddresses } from "../netlink/addresses.ts";
import { type Link, listLinks } from "../netlink/links.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { listRoutes, type Route, Table } from "../netlink/routes.ts";
import { longestMatch } from "./plan.ts";

/** What of the node has nothing to do with a mesh: its links, and how it reaches others by them. */
export interface Underlay {
  readonly links: readonly Link[];
  /** The subnets on its links, without those of `lo`. */
  readonly subnets: readonly OnLink[];
  /** All routes of all tables. */
  readonly routes: readonly Route[];
}

/** A subnet on a link of the node. */
export interface OnLink {
  readonly dev: string;
  readonly address: Address;
  readonly prefix: Prefix;
}

/** `lo` is the first link of every network namespace. */
const LOOPBACK_INDEX = 1;

/** Reads links, addresses and routes, side by side. @throws NetlinkError. */
export async function readUnderlay(nl: Netlink): Promise<Underlay> {
  const [links, addresses, routes] = await Promise.all([listLinks(nl), listAddresses(nl), listRoutes(nl, {})]);
  const names = new Map(links.map(({ index, name }) => [index, name]));
  const subnets = addresses
    .filter(({ index }) => index !== LOOPBACK_INDEX)
    .map(({ index, address, prefixLength }) => ({
      dev: names.get(index) ?? `link ${index}`,
      address,
      prefix: prefixOf(address, prefixLength),
    }));
  return { links, subnets, routes };
}

/** Ethernet's, for a node that has no way to its peers yet. */
const USUAL_MTU = 1500;

/**
 * MTU of a WireGuard device, in bytes: what fits the smallest underlay on the way to `endpoints`. With room for IPv6
 * outside whatever the endpoints are now: a peer may roam there, and 1420 over Ethernet is what everybody else's WireGuard
 * has. Pure.
 * @param device Name of the device itself, whose own routes do not count.
 */
export function meshMtu(underlay: Underlay, endpoints: readonly Address[], device: string): number {
  return tunnelMtu("wireguard", 6, underlayMtu(underlay, endpoints, device));
}

/**
 * The smallest MTU, in bytes, on this node's side of the way to `endpoints`, or of its default routes where none is known.
 * Pure. @param device Name of the tunnel's own device, whose routes do not count.
 */
export function underlayMtu(underlay: Underlay, endpoints: readonly Address[], device: string): number {
  const own = underlay.links.find(({ name }) => name === device)?.index;
  const ways = underlay.routes.filter(
    ({ table, type, oif }) => table === Table.main && type === "unicast" && oif !== undefined && oif !== own,
  );
  const defaults = ways.filter(({ dst }) => dst === "0.0.0.0/0" || dst === "::/0");
  const towards = endpoints.map((endpoint) => longestMatch(ways, endpoint)).filter((route) => route !== undefined);
  const mtus = [...new Set(towards.length > 0 ? towards : defaults)].map(
    ({ mtu, oif }) => mtu ?? underlay.links.find(({ index }) => index === oif)?.mtu ?? USUAL_MTU,
  );
  return Math.min(...(mtus.length > 0 ? mtus : [USUAL_MTU]));
}

/** What goes through the device of a configuration: the mesh, and the device's own addresses. Pure. */
export function insideOf({ meshPrefixes, addresses }: Pick<WireguardConfig, "meshPrefixes" | "addresses">): Prefix[] {
  return [...meshPrefixes, ...addresses.map(({ address }) => hostPrefix(address))];
}

/** IPv6 needs 1280 bytes on every link (RFC 8200 section 5); Linux turns IPv6 off below it. */
const IPV6_MTU = 1280;

/**
 * The MTU of a device, when all that is to go through it fits. Pure.
 * @param inside What goes through it. @throws Fault 7 when that has IPv6, and the MTU is too small for it.
 */
export function fittingMtu(mtu: number, inside: readonly Prefix[]): number {
  const six = inside.find((prefix) => family(prefix) === 6);
  if (mtu >= IPV6_MTU || six === undefined) return mtu;
  throw new Fault(
    Code.invalidConfig,
    `the node's links towards the peers leave ${mtu} bytes for the tunnel, and ${six} is IPv6, which needs ${IPV6_MTU}`,
    `give these links an MTU of at least ${IPV6_MTU + USUAL_MTU - tunnelMtu("wireguard", 6, USUAL_MTU)}, or leave IPv6 out of the tunnel`,
  );
}
