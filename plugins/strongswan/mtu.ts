import type { StrongswanConfig } from "../../src/config/strongswan.ts";
import { family } from "../../src/net/address.ts";
import { tunnelMtu as fitting, LIBIPSEC_MTU } from "../../src/net/mtu.ts";
import { getLink } from "../../src/netlink/links.ts";
import type { Netlink } from "../../src/netlink/netlink.ts";
import { lookupRoute } from "../../src/netlink/routes.ts";

/** Ethernet's, for a hub that the node has no route to yet. */
const USUAL_MTU = 1500;

/**
 * MTU of the pod's routes into the tunnel, in bytes: vpn.mtu, or what fits an outer packet on the way to the hub.
 * The underlay is the node's link towards the hub; the pod's own link shows 1500 whatever that one has.
 */
export async function tunnelMtu(
  config: StrongswanConfig,
  dataPlane: "kernel" | "userspace",
  node: Netlink,
): Promise<number> {
  if (config.mtu !== undefined) return config.mtu;
  const [server] = config.servers;
  const route = await lookupRoute(node, server);
  const link = route?.oif === undefined ? undefined : await getLink(node, route.oif);
  // In UDP also for the kernel: behind a NAT charon encapsulates by itself, and the pod is behind its node's.
  const room = fitting("esp-in-udp", family(server), route?.mtu ?? link?.mtu ?? USUAL_MTU);
  return dataPlane === "userspace" ? Math.min(LIBIPSEC_MTU, room) : room;
}
