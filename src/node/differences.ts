import { family } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import { changed } from "../netlink/error.ts";
import type { Netlink } from "../netlink/netlink.ts";
import {
  addRoute,
  ensureNoRoute,
  isRoute,
  listRoutes,
  type Route,
  replaceRoute,
  routePlace,
} from "../netlink/routes.ts";

/** What turns the routes that are there into those that are wanted. */
export interface RouteDifference {
  readonly add: readonly Route[];
  readonly remove: readonly Route[];
}

/** Compares routes by destination first, as a mesh may have thousands. Pure. */
export function routeDifference(wanted: readonly Route[], existing: readonly Route[]): RouteDifference {
  const there = byDestination(existing);
  const needed = byDestination(wanted);
  return {
    add: wanted.filter((route) => !(there.get(route.dst) ?? []).some((one) => isRoute(one, route))),
    remove: existing.filter((route) => !(needed.get(route.dst) ?? []).some((one) => isRoute(route, one))),
  };
}

/** Adds first: between two steps no wanted destination is without its route. @throws NetlinkError. */
export async function applyRouteDifference(nl: Netlink, { add, remove }: RouteDifference): Promise<void> {
  await inParts(add, (route) => addOnce(nl, route));
  await inParts(remove, (route) => ensureNoRoute(nl, route));
}

/** A difference in which a route that only moves to another device is replaced in one step. */
export interface RouteMoves extends RouteDifference {
  readonly replace: readonly Route[];
}

/** Pairs what is removed with what is added to the same destination. Pure. */
export function routeMoves({ add, remove }: RouteDifference): RouteMoves {
  const old = new Set(remove.map(routePlace));
  const moved = new Set(add.map(routePlace).filter((place) => old.has(place)));
  const moves = (route: Route) => moved.has(routePlace(route));
  return {
    add: add.filter((route) => !moves(route)),
    replace: add.filter(moves),
    remove: remove.filter((route) => !moves(route)),
  };
}

/**
 * Makes the moves: between two steps no wanted destination is without a route.
 * @returns Those that cannot be added: somebody else has a route to the same destination. @throws NetlinkError.
 */
export async function applyRouteMoves(nl: Netlink, { add, replace, remove }: RouteMoves): Promise<Route[]> {
  const taken: Route[] = [];
  await inParts(replace, (route) => replaceRoute(nl, route));
  await inParts(add, async (route) => {
    if (!(await changed(addRoute(nl, route), "EEXIST"))) taken.push(route);
  });
  await inParts(remove, (route) => ensureNoRoute(nl, route));
  return taken;
}

/** Two devices may have pods in the same subnet, and refuse it side by side. @throws NetlinkError for another's route. */
async function addOnce(nl: Netlink, route: Route): Promise<void> {
  if (await changed(addRoute(nl, route), "EEXIST")) return;
  const existing = await listRoutes(nl, { family: family(route.dst), table: route.table });
  if (!existing.some((one) => isRoute(one, route))) await addRoute(nl, route);
}

/** More requests at once than these would overrun the socket with their answers. */
const AT_ONCE = 64;

async function inParts<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  for (let start = 0; start < items.length; start += AT_ONCE) {
    await Promise.all(items.slice(start, start + AT_ONCE).map(work));
  }
}

function byDestination(routes: readonly Route[]): ReadonlyMap<Prefix, readonly Route[]> {
  const map = new Map<Prefix, Route[]>();
  for (const route of routes) {
    const same = map.get(route.dst);
    if (same === undefined) map.set(route.dst, [route]);
    else same.push(route);
  }
  return map;
}
