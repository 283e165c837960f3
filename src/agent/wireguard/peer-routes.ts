import type { Prefix } from "../../net/prefix.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { type Route, Table } from "../../netlink/routes.ts";
import { applyRouteMoves, routeDifference, routeMoves } from "../../node/differences.ts";
import { meshRoutes, PROTOCOL_MESH } from "../../node/plan.ts";
import type { Underlay } from "../../node/underlay.ts";
import type { SlotPeer, SlotPlan } from "./slot-plan.ts";
import type { SlotName } from "./slots.ts";

/** Indices of the links of the devices that there are. */
export type SlotLinks = Readonly<Partial<Record<SlotName, number>>>;

/** Through which device each prefix is routed. Pure. @param table Absent: main. */
export function routesBySlot({ routes }: Pick<Underlay, "routes">, links: SlotLinks, table?: number) {
  const bySlot = new Map<Prefix, SlotName>();
  for (const route of routes) {
    const slot = slotOf(route, links);
    if (slot !== undefined && route.table === (table ?? Table.main)) bySlot.set(route.dst, slot);
  }
  return bySlot;
}

/**
 * Brings the routes to the peers' prefixes to what the plan has; one that moves to the other device is replaced in one
 * step.
 * @param before The links as they were when the routes were read: those of a device that was made since are gone.
 * @returns Names of the peers whose routes were changed, and what is in the way, in words. @throws NetlinkError.
 */
export async function routePeers(
  nl: Netlink,
  { routes }: Pick<Underlay, "routes">,
  request: {
    readonly peers: readonly SlotPeer[];
    readonly ways: SlotPlan["ways"];
    readonly table?: number;
    readonly before: SlotLinks;
    readonly now: { readonly first: number; readonly second?: number | undefined };
  },
): Promise<{ readonly changed: ReadonlySet<string>; readonly obstacles: readonly string[] }> {
  const { peers, ways, table, before, now } = request;
  const owners = new Map(peers.flatMap(({ name, prefixes }) => prefixes.map((prefix) => [prefix, name] as const)));
  const wanted = peers.flatMap(({ name, prefixes }) => {
    const link = ways.get(name) === "second" ? (now.second ?? now.first) : now.first;
    return meshRoutes(prefixes, link, table);
  });
  const existing = routes.filter((route) => slotOf(route, before) !== undefined);
  const moves = routeMoves(routeDifference(wanted, existing));
  const taken = await applyRouteMoves(nl, moves);
  return {
    changed: new Set([...moves.add, ...moves.replace, ...moves.remove].flatMap(({ dst }) => owners.get(dst) ?? [])),
    obstacles: taken.map(
      ({ dst }) => `the node has another route to ${dst} of ${owners.get(dst)}; remove it: \`ip route del ${dst}\``,
    ),
  };
}

/** The device that a route of the mesh leads into; undefined for another route. */
function slotOf({ protocol, type, oif }: Route, { first, second }: SlotLinks): SlotName | undefined {
  if (protocol !== PROTOCOL_MESH || type !== "unicast" || oif === undefined) return undefined;
  if (oif === first) return "first";
  return oif === second ? "second" : undefined;
}
