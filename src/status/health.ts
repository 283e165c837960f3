import { forwardingObstacles, obstacleText } from "../forwarding/obstacles.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { openRoute } from "../netlink/open.ts";
import { isRoute, listRoutes } from "../netlink/routes.ts";
import { missingOfTable } from "../nftables/missing.ts";
import { meshRefusals, recordedTable } from "../node/plan.ts";
import { isAlive } from "../wireguard/diff.ts";
import { type DeviceView, problemOf } from "./devices.ts";

/** How many peers of a device have been heard of. Pure. @param now Milliseconds since 1970. */
export function peersAlive({ peers }: Pick<DeviceView, "peers">, now: number): number {
  return peers.filter((peer) => isAlive(peer, now)).length;
}

/**
 * A peer that is silent has perhaps nothing to say; of those that are to be kept alive one answers, unless the tunnel as
 * a whole is broken: a closed port, a key that nobody knows. Pure.
 */
export function silence({ peers }: Pick<DeviceView, "peers">, now: number): string[] {
  const kept = peers.filter(({ persistentKeepalive, endpoint }) => persistentKeepalive > 0 && endpoint !== undefined);
  if (kept.length === 0 || peersAlive({ peers }, now) > 0) return [];
  const who = kept.length === 1 ? "its peer has not" : `none of its ${kept.length} peers with keep-alive has`;
  return [`${who} answered for 3 minutes`];
}

/** What of a device's guard on the node is gone, in words. A pod guards its own device itself. */
export async function missingOfDeviceGuard({ ref }: Pick<DeviceView, "ref">): Promise<string[]> {
  if (ref.of === "pod") return [];
  const { record } = ref;
  try {
    using nl = openRoute();
    const table = recordedTable(record);
    const missing = [...(await missingOfTable(table)), ...(await missingRefusals(nl, record))];
    return missing.map((what) => `missing: ${what}`);
  } catch (error) {
    return [problemOf(error)];
  }
}

/**
 * Firewalls of others that refuse what is forwarded between a device of the node and its pods, each with the command that
 * mends it. No problem of the device: what such a chain jumps to may accept it all the same.
 */
export async function firewallsOf({ ref }: Pick<DeviceView, "ref">): Promise<string[]> {
  if (ref.of === "pod") return [];
  const { interface: device, podSubnets } = ref.record;
  try {
    return (await forwardingObstacles({ device, subnets: podSubnets })).map(obstacleText);
  } catch (error) {
    return [problemOf(error)];
  }
}

async function missingRefusals(nl: Netlink, record: Parameters<typeof meshRefusals>[0]): Promise<string[]> {
  const byDestination = Map.groupBy(await listRoutes(nl, {}), ({ dst }) => dst);
  return meshRefusals(record)
    .filter((wanted) => !byDestination.get(wanted.dst)?.some((route) => isRoute(route, wanted)))
    .map(({ dst, table }) => `unreachable route to ${dst} in table ${table}`);
}
