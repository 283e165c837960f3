import type { Prefix } from "../../net/prefix.ts";
import { openRoute } from "../../netlink/open.ts";
import { lookupRoute, type Route } from "../../netlink/routes.ts";
import { firstHost, type MeshDevice } from "./devices.ts";

/** Where the kernel would send a packet for a peer's prefix. */
export interface Way {
  readonly device: MeshDevice;
  readonly peer: string;
  readonly prefix: Prefix;
  /** Absent: nowhere, or to a route that refuses. */
  readonly route?: Route;
}

/** Asks it for each prefix of each peer (`ip route get`). @throws NetlinkError. */
export async function readWays(devices: readonly MeshDevice[]): Promise<Way[]> {
  using nl = openRoute();
  const ways: Way[] = [];
  for (const device of devices) {
    for (const { name: peer, prefixes } of device.peers) {
      for (const prefix of prefixes) {
        const route = await lookupRoute(nl, firstHost(prefix));
        ways.push({ device, peer, prefix, ...(route && { route }) });
      }
    }
  }
  return ways;
}
