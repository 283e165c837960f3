import { Fault } from "../../fault.ts";
import { obstacleText } from "../../forwarding/obstacles.ts";
import { openForwarding } from "../../forwarding/open.ts";
import { applySysctls, mergedSysctls } from "../../forwarding/sysctl.ts";
import { aggregate } from "../../net/aggregate.ts";
import { overlaps } from "../../net/prefix.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { type ForwardingNeeds, neededSysctls } from "../../node/forwarding.ts";
import type { Underlay } from "../../node/underlay.ts";
import type { WantedTunnels } from "../driver.ts";
import type { OwnRecord } from "./own-record.ts";

/**
 * Between whom the node shall forward: the devices and its pods, on whatever links of the node these are; and for a
 * gateway, between its peers. Pure.
 * @param devices The driver's. @param ours Names that are no pods' links, whether or not there is such a device now.
 */
export function forwardingNeeds(
  { podPrefixes, tunnels }: Pick<WantedTunnels, "podPrefixes" | "tunnels">,
  { subnets }: Pick<Underlay, "subnets">,
  devices: readonly string[],
  ours: readonly string[],
): ForwardingNeeds {
  const carried = new Set(tunnels.map(({ peer }) => peer.localPrefixes)); // one list for most peers
  const podInterfaces = subnets
    .filter(({ dev, prefix }) => !ours.includes(dev) && podPrefixes.some((pods) => overlaps(pods, prefix)))
    .map(({ dev }) => dev);
  return {
    devices,
    podInterfaces: [...new Set(podInterfaces)].sort(),
    subnets: aggregate([...podPrefixes, ...[...carried].flat()]),
  };
}

/**
 * Lets the node forward so, as far as it can. What is changed is on disk before it is.
 * @returns What is still in the way, in words: a firewall that cannot be looked into is no reason to have no tunnels.
 * @throws NetlinkError.
 */
export async function letForward(nl: Netlink, needs: ForwardingNeeds, record: OwnRecord): Promise<string[]> {
  const { devices, subnets } = needs;
  if (subnets.length === 0) return [];
  const changes = await neededSysctls(nl, needs);
  if (changes.length > 0) record.write({ sysctls: mergedSysctls(record.now?.sysctls ?? [], changes) });
  try {
    applySysctls(changes);
    const left: string[] = [];
    for (const device of devices) left.push(...(await openForwarding({ device, subnets })).map(obstacleText));
    return left;
  } catch (error) {
    if (error instanceof Fault) return [error.message];
    throw error;
  }
}
