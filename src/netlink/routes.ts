import { type Address, addressBytes, addressFromBytes, type Family, family } from "../net/address.ts";
import { hostPrefix, networkAddress, type Prefix, prefixLength } from "../net/prefix.ts";
import { attribute, nest, nested, optional, parseAttributes, u32Of } from "./attributes.ts";
import { concat, readU8, u8, u16, u32, zeros } from "./bytes.ts";
import { changed, unless } from "./error.ts";
import { af, afOf, prefixFrom, versionOf } from "./family.ts";
import { type Message, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from "./message.ts";
import type { Netlink } from "./netlink.ts";
import { type Scope, scopeName, scopeNumber } from "./scope.ts";

/** rtm_protocol of every route and rule that is ours: how they are found again. Not in iproute2's rt_protos. */
export const PROTOCOL_PODVPN = 173;

/** The routing tables that always exist. */
export const Table = { default: 253, main: 254, local: 255 } as const;

/** What happens to a packet that a route matches (rtnetlink's RTN_…). Silent drop: "blackhole"; "throw": next rule. */
export type RouteType = keyof typeof TYPES;

/** A route with one next hop or none. Of a multipath route the next hops are not read. */
export interface Route {
  /** The default route is `0.0.0.0/0` or `::/0`. It also tells the family. */
  readonly dst: Prefix;
  readonly type: RouteType;
  /** May be IPv6 for an IPv4 destination (RFC 5549). */
  readonly gateway?: Address;
  /** Index of the link. IPv6 reads back `lo` where there was none (blackhole and the like). */
  readonly oif?: number;
  /** Lower wins. Absent: 0 in IPv4; IPv6 makes it 1024. */
  readonly metric?: number;
  readonly table: number;
  /** IPv4: "link" when there is no gateway. IPv6 has no scope: always "universe". */
  readonly scope: Scope;
  /** Source address that the kernel prefers towards `dst`. */
  readonly src?: Address;
  /** In bytes. */
  readonly mtu?: number;
  /** Who made it: {@link PROTOCOL_PODVPN}, 2 the kernel, 3 boot (`ip route`'s default), 4 static. */
  readonly protocol: number;
}

/** Those of the wanted tables, families, makers and types; without a filter all, also the kernel's `local` table. */
export interface RouteFilter {
  readonly family?: Family;
  readonly table?: number;
  readonly protocol?: number;
  readonly type?: RouteType;
}

/** @throws NetlinkError */
export async function listRoutes(nl: Netlink, filter: RouteFilter): Promise<Route[]> {
  // The kernel filters by table and protocol only with NETLINK_GET_STRICT_CHK, which the addon cannot set.
  const body = concat(u8(filter.family === undefined ? 0 : af(filter.family)), zeros(RTMSG - 1));
  const messages = await nl.dump(RTM_GETROUTE, body, "list the routes");
  return messages
    .filter(({ body }) => mayPass(body, filter))
    .map(parseRoute)
    .filter((route) => route !== undefined)
    .filter(({ table }) => table === (filter.table ?? table));
}

/** By struct rtmsg alone: to read the attributes of all routes takes 2 ms on a node with fifty, which may have thousands. */
function mayPass(body: Uint8Array, { protocol, type }: RouteFilter): boolean {
  const sameType = type === undefined || readU8(body, 7) === TYPES[type];
  return sameType && (protocol === undefined || readU8(body, 5) === protocol);
}

/** @throws NetlinkError EEXIST when there is a route to the same destination with the same metric in the table. */
export async function addRoute(nl: Netlink, route: Route): Promise<void> {
  await nl.change(
    RTM_NEWROUTE,
    NLM_F_CREATE | NLM_F_EXCL,
    routeMessage(route, scopeNumber(route.scope)),
    adding(route),
  );
}

/**
 * True when the table was changed, false when it had the route already. Another route to the same destination with the
 * same metric is replaced in one step: there is no moment without either.
 * @throws NetlinkError
 */
export async function ensureRoute(nl: Netlink, route: Route): Promise<boolean> {
  if (await changed(addRoute(nl, route), "EEXIST")) return true;
  const existing = await listRoutes(nl, { family: family(route.dst), table: route.table });
  if (existing.some((candidate) => isRoute(candidate, route))) return false;
  await replaceRoute(nl, route);
  return true;
}

/**
 * Puts the route in the place of the one to the same destination with the same metric in the table, in one step; adds it
 * where there is none. @throws NetlinkError
 */
export async function replaceRoute(nl: Netlink, route: Route): Promise<void> {
  const body = routeMessage(route, scopeNumber(route.scope));
  await nl.change(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body, adding(route));
}

/** Removes the route that agrees in all that is given. @throws NetlinkError ESRCH when there is none. */
export async function removeRoute(nl: Netlink, route: Route): Promise<void> {
  // Scope "nowhere" matches any; the type and protocol that are given must match.
  const body = routeMessage(route, scopeNumber("nowhere"));
  await nl.change(RTM_DELROUTE, 0, body, `remove the ${text(route)}`);
}

/** True when the route was removed, false when it, or its link, was gone. @throws NetlinkError */
export function ensureNoRoute(nl: Netlink, route: Route): Promise<boolean> {
  return changed(removeRoute(nl, route), "ESRCH", "ENODEV");
}

/**
 * The route that a packet to `destination` from this namespace takes, rules included, as a host route with the source
 * address that the kernel chooses; undefined when it goes nowhere (no route, or one that refuses).
 * @throws NetlinkError
 */
export async function lookupRoute(nl: Netlink, destination: Address): Promise<Route | undefined> {
  const wanted = hostPrefix(destination);
  const body = concat(routeHeader({ dst: wanted, flags: RTM_F_LOOKUP_TABLE }), dstAttribute(wanted));
  const answer = await unless(
    nl.get(RTM_GETROUTE, body, `look up the route to ${destination}`),
    "ENETUNREACH",
    "EHOSTUNREACH",
    "EINVAL", // blackhole
    "EACCES", // prohibit
    "EAGAIN", // throw, with no rule after it
  );
  return answer && parseRoute(answer);
}

/** Whether `existing` is what `wanted` asks for; what the kernel adds by itself is not compared. */
export function isRoute(existing: Route, wanted: Route): boolean {
  const six = family(wanted.dst) === 6;
  const metric = wanted.metric ?? (six ? IPV6_METRIC : undefined);
  return (
    existing.dst === wanted.dst &&
    existing.type === wanted.type &&
    existing.table === wanted.table &&
    existing.protocol === wanted.protocol &&
    existing.metric === metric &&
    existing.gateway === wanted.gateway &&
    existing.src === wanted.src &&
    existing.mtu === wanted.mtu &&
    (six || existing.scope === wanted.scope) &&
    (wanted.oif === undefined || existing.oif === wanted.oif)
  );
}

/** Destination, table and metric: the kernel has one route of each, and replaces it by another of the same. Pure. */
export function routePlace({ dst, table, metric }: Route): string {
  return `${dst} ${table} ${metric ?? (family(dst) === 6 ? IPV6_METRIC : 0)}`;
}

/** struct rtmsg and attributes (linux/rtnetlink.h); undefined for what is not IP. */
function parseRoute({ body }: Message): Route | undefined {
  const version = versionOf(readU8(body, 0));
  const type = TYPE_NAMES.find((name) => TYPES[name] === readU8(body, 7));
  if (version === undefined || type === undefined) return undefined;
  const attributes = parseAttributes(body.subarray(RTMSG));
  const gateway = attributes.get(RTA_GATEWAY) ?? attributes.get(RTA_VIA)?.subarray(VIA_FAMILY);
  const oif = u32Of(attributes, RTA_OIF);
  const metric = u32Of(attributes, RTA_PRIORITY);
  const src = attributes.get(RTA_PREFSRC);
  const mtu = u32Of(nested(attributes, RTA_METRICS), RTAX_MTU);
  return {
    dst: prefixFrom(attributes.get(RTA_DST), readU8(body, 1), version),
    type,
    table: u32Of(attributes, RTA_TABLE) ?? readU8(body, 4),
    scope: scopeName(readU8(body, 6)),
    protocol: readU8(body, 5),
    ...(gateway !== undefined && { gateway: addressFromBytes(gateway) }),
    ...(oif !== undefined && { oif }),
    ...(metric !== undefined && metric !== 0 && { metric }),
    ...(src !== undefined && { src: addressFromBytes(src) }),
    ...(mtu !== undefined && { mtu }),
  };
}

function routeMessage(route: Route, scope: number): Uint8Array {
  return concat(
    routeHeader({ dst: route.dst, protocol: route.protocol, scope, type: TYPES[route.type] }),
    dstAttribute(route.dst),
    attribute(RTA_TABLE, u32(route.table)),
    gatewayAttribute(route),
    optional(RTA_OIF, route.oif, u32),
    optional(RTA_PRIORITY, route.metric, u32),
    optional(RTA_PREFSRC, route.src, addressBytes),
    route.mtu === undefined ? zeros(0) : nest(RTA_METRICS, attribute(RTAX_MTU, u32(route.mtu))),
  );
}

interface Header {
  readonly dst: Prefix;
  readonly protocol?: number;
  readonly scope?: number;
  readonly type?: number;
  readonly flags?: number;
}

function routeHeader({ dst, protocol, scope, type, flags }: Header): Uint8Array {
  return concat(
    u8(afOf(dst)),
    u8(prefixLength(dst)),
    u8(0), // source length: no routing by source here
    u8(0), // TOS
    u8(0), // table: RTA_TABLE has 32 bits
    u8(protocol ?? 0),
    u8(scope ?? 0),
    u8(type ?? 0),
    u32(flags ?? 0),
  );
}

function gatewayAttribute({ dst, gateway }: Route): Uint8Array {
  if (gateway === undefined) return zeros(0);
  if (family(gateway) === family(dst)) return attribute(RTA_GATEWAY, addressBytes(gateway));
  return attribute(RTA_VIA, concat(u16(afOf(gateway)), addressBytes(gateway)));
}

function dstAttribute(dst: Prefix): Uint8Array {
  return prefixLength(dst) === 0 ? zeros(0) : attribute(RTA_DST, addressBytes(networkAddress(dst)));
}

function adding(route: Route): string {
  return `add the ${text(route)}`;
}

function text({ type, dst, gateway, oif, table }: Route): string {
  const via = gateway === undefined ? "" : ` via ${gateway}`;
  const dev = oif === undefined ? "" : ` on link ${oif}`;
  return `${type} route to ${dst}${via}${dev} in table ${table}`;
}

const TYPES = {
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
  throw: 9,
} as const;
const TYPE_NAMES = Object.keys(TYPES) as RouteType[];
/** IP6_RT_PRIO_USER: what IPv6 makes of no metric. */
const IPV6_METRIC = 1024;
const RTMSG = 12;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
/** Answer with the table that the route is from, not always `main`. */
const RTM_F_LOOKUP_TABLE = 0x1000;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_TABLE = 15;
/** A gateway of the other family: struct rtvia begins with 2 bytes of family. */
const RTA_VIA = 18;
const VIA_FAMILY = 2;
const RTAX_MTU = 2;
