import { contains, type Prefix } from "../net/prefix.ts";
import { openRoute, openXfrm } from "../netlink/open.ts";
import { ensureNoRoute, listRoutes } from "../netlink/routes.ts";
import { removeTunnels } from "../netlink/xfrm-tunnels.ts";
import type { Journal } from "./journal.ts";
import { ROUTING_TABLE } from "./network.ts";

/**
 * Removes what the kernel still has of a charon that was killed: to the pods it would go on being a hub, so that they
 * would not notice that the next charon does not know them, for up to an hour. Without it they come back by themselves.
 * The virtual subnets are the hub's alone, and so is what goes through a tunnel to or from them.
 * To be called while no charon of the hub's runs. @throws NetlinkError.
 */
export async function forgetTunnels(subnets: readonly Prefix[], log: Journal): Promise<void> {
  const isOurs = (prefix: Prefix) => subnets.some((subnet) => contains(subnet, prefix));
  using xfrm = openXfrm();
  const removed = await removeTunnels(xfrm, ({ src, dst }) => isOurs(src) || isOurs(dst));
  using nl = openRoute();
  for (const route of await listRoutes(nl, { table: ROUTING_TABLE })) {
    if (isOurs(route.dst)) await ensureNoRoute(nl, route);
  }
  if (removed > 0) log("info", `removed ${removed} security associations that an earlier charon left behind`);
}
