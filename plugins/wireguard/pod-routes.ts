import { podInterface } from "../../src/attachment/addresses.ts";
import type { PodRoute } from "../../src/attachment/record.ts";
import type { Result } from "../../src/cni/result.ts";
import { Code, Fault } from "../../src/fault.ts";
import { type Address, family, parseAddress } from "../../src/net/address.ts";
import type { Prefix } from "../../src/net/prefix.ts";
import { getLink } from "../../src/netlink/links.ts";
import type { Netlink } from "../../src/netlink/netlink.ts";
import {
  ensureNoRoute,
  ensureRoute,
  isRoute,
  listRoutes,
  PROTOCOL_PODVPN,
  type Route,
  Table,
} from "../../src/netlink/routes.ts";

/**
 * The pod's routes to the mesh: by the gateway of its link, with the tunnel's MTU, so that its TCP begins with segments
 * that fit. None for a family in which the link has no gateway: such a pod speaks to its own subnet only. Pure.
 */
export function planPodRoutes(link: Result, ifname: string, meshPrefixes: readonly Prefix[], mtu: number): PodRoute[] {
  return meshPrefixes.flatMap((dst) => {
    const gateway = gatewayOf(link, ifname, family(dst));
    return gateway === undefined ? [] : [{ dst, gateway, mtu }];
  });
}

/** The link's result with the routes added. Pure. */
export function withRoutes(link: Result, routes: readonly PodRoute[]): Result {
  return { ...link, routes: [...link.routes, ...routes.map(({ dst, gateway, mtu }) => ({ dst, gw: gateway, mtu }))] };
}

/** Idempotent. @throws Fault 100 when the interface has gone, NetlinkError. */
export async function addPodRoutes(pod: Netlink, ifname: string, routes: readonly PodRoute[]): Promise<void> {
  if (routes.length === 0) return;
  const link = await getLink(pod, ifname);
  if (link === undefined) throw new Fault(Code.delegate, `the link ${ifname} has gone during ADD`, "try again");
  for (const route of routes) await ensureRoute(pod, kernelRoute(route, link.index));
}

/** Takes them away again, where the link stays: it is another plugin's. What is gone is fine. @throws NetlinkError. */
export async function removePodRoutes(pod: Netlink, ifname: string, routes: readonly PodRoute[]): Promise<void> {
  const link = routes.length === 0 ? undefined : await getLink(pod, ifname);
  if (link === undefined) return;
  for (const route of routes) await ensureNoRoute(pod, kernelRoute(route, link.index));
}

/**
 * Those that are not there, in words. A lower MTU than ours is fine: another plugin of the chain may have lowered that
 * of the link, and the kernel with it those of its IPv6 routes. @throws NetlinkError.
 */
export async function missingPodRoutes(pod: Netlink, ifname: string, routes: readonly PodRoute[]): Promise<string[]> {
  const link = await getLink(pod, ifname);
  if (link === undefined) return [`interface ${ifname}`];
  const existing = await listRoutes(pod, { table: Table.main });
  return routes
    .filter((route) => !existing.some((one) => isRoute(one, kernelRoute(route, link.index, one.mtu))))
    .map(({ dst, gateway, mtu }) => `route to ${dst} via ${gateway} with MTU ${mtu} in the pod`);
}

/** The gateway of the interface's first address of that family, else that of the default route. */
function gatewayOf(link: Result, ifname: string, version: 4 | 6): Address | undefined {
  const index = podInterface(link, ifname);
  const candidates = [
    ...link.ips
      .filter((ip) => ip.interface === undefined || index === undefined || ip.interface === index)
      .map(({ gateway }) => gateway),
    ...link.routes.filter(({ dst }) => /\/0$/.test(dst)).map(({ gw }) => gw),
  ];
  return candidates
    .map((text) => (text === undefined ? undefined : parseAddress(text)))
    .find((address) => address !== undefined && family(address) === version);
}

/** @param most Lowers the MTU to it. */
function kernelRoute({ dst, gateway, ...route }: PodRoute, oif: number, most = route.mtu): Route {
  const mtu = Math.min(route.mtu, most);
  return { dst, type: "unicast", table: Table.main, scope: "universe", oif, gateway, mtu, protocol: PROTOCOL_PODVPN };
}
