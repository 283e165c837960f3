import { REFUSAL_METRIC, refusalRoute } from "../guard/plan.ts";
import { family } from "../net/address.ts";
import { type Prefix, prefixLength } from "../net/prefix.ts";
import { getLink } from "../netlink/links.ts";
import type { Netlink } from "../netlink/netlink.ts";
import {
  ensureNoRoute,
  ensureRoute,
  isRoute,
  listRoutes,
  PROTOCOL_PODVPN,
  type Route,
  Table,
} from "../netlink/routes.ts";
import { lockDirectory } from "../os/lock.ts";
import { type HostRoute, isStrongswan, listAttachments, PODS_DIRECTORY, type StrongswanAttachment } from "./record.ts";

/** Milliseconds: others hold this lock for a few netlink messages only. */
const LOCK_WAIT = 10_000;

/**
 * Makes the node's routes for one pod with a charon: the way to its virtual IPs (for probes from the node), and an
 * `unreachable` route for each virtual subnet, so that the node itself never sends or forwards a packet for it in
 * plain, until podvpn is uninstalled or the node starts anew. Its record must be on disk. Idempotent; nothing has to be
 * undone but the record and {@link removeStaleRoutes}.
 * @throws Fault 11 when the node's lock is held for too long, NetlinkError when the kernel refuses a route.
 */
export async function ensureNodeRoutes(nl: Netlink, record: StrongswanAttachment): Promise<void> {
  using _lock = await lockDirectory(PODS_DIRECTORY, { create: true, shared: true, wait: LOCK_WAIT });
  for (const route of await nodeRoutes(nl, record)) await ensureRoute(nl, route);
}

/**
 * Removes the ways to virtual IPs that no attachment's record asks for: after a DEL, and whatever a killed one left.
 * The refusals stay when the last pod has gone: a kubelet goes on probing a deleted pod for a while, and a client of the
 * node's asks an old address again. Without them that would leave by the default route, in plain.
 * Exclusive, so that no ADD finds a route in place that is about to go.
 * @throws as {@link ensureNodeRoutes}.
 */
export async function removeStaleRoutes(nl: Netlink): Promise<void> {
  using lock = await lockDirectory(PODS_DIRECTORY, { create: false, wait: LOCK_WAIT });
  const existing = (await ownRoutes(nl)).filter(({ type }) => type === "unicast");
  if (existing.length === 0) return;
  const records =
    lock === undefined
      ? []
      : listAttachments()
          .map(({ record }) => record)
          .filter(isStrongswan);
  const wanted = await podRoutes(nl, records);
  for (const route of existing) {
    if (!wanted.some((candidate) => isRoute(route, candidate))) await ensureNoRoute(nl, route);
  }
}

/** The virtual subnets that the node refuses, whether it still has pods of them or not. @throws NetlinkError. */
export async function refusedSubnets(nl: Netlink): Promise<Prefix[]> {
  return (await ownRoutes(nl)).filter(({ type }) => type === "unreachable").map(({ dst }) => dst);
}

/** Removes all refusals: when podvpn leaves the node. @throws NetlinkError. */
export async function removeRefusals(nl: Netlink): Promise<void> {
  for (const dst of await refusedSubnets(nl)) await ensureNoRoute(nl, refusalRoute(dst, "unreachable"));
}

async function ownRoutes(nl: Netlink): Promise<Route[]> {
  return (await listRoutes(nl, { table: Table.main, protocol: PROTOCOL_PODVPN })).filter(isOurs);
}

/** The routes that the node needs for one attachment. */
export async function nodeRoutes(nl: Netlink, record: StrongswanAttachment): Promise<Route[]> {
  return [...refusals([record]), ...(await podRoutes(nl, [record]))];
}

/** A default route is never refused: the node's own traffic has nothing to do with a pod's full tunnel. */
function refusals(records: readonly StrongswanAttachment[]): Route[] {
  const subnets = new Set(records.flatMap(({ virtualSubnets }) => virtualSubnets));
  return [...subnets].filter((subnet) => prefixLength(subnet) > 0).map((dst) => refusalRoute(dst, "unreachable"));
}

async function podRoutes(nl: Netlink, records: readonly StrongswanAttachment[]): Promise<Route[]> {
  const routes: Route[] = [];
  for (const { dst, via, dev } of records.flatMap((record): readonly HostRoute[] => record.hostRoutes)) {
    const link = await getLink(nl, dev);
    if (link === undefined) continue; // its DEL is under way, or somebody removed the bridge: CHECK tells
    const gateway = via !== undefined && family(via) === family(dst) ? { gateway: via } : {};
    routes.push({
      dst,
      type: "unicast",
      table: Table.main,
      scope: "gateway" in gateway || family(dst) === 6 ? "universe" : "link",
      oif: link.index,
      protocol: PROTOCOL_PODVPN,
      ...gateway,
    });
  }
  return routes;
}

/** Host routes and refusals in table main; other parts of podvpn use the same protocol number elsewhere. */
function isOurs(route: Route): boolean {
  const { metric, type } = route;
  return type === "unreachable" ? metric === REFUSAL_METRIC : type === "unicast" && prefixLength(route.dst) >= 32;
}
