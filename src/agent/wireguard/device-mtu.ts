import { family } from "../../net/address.ts";
import { tunnelMtu } from "../../net/mtu.ts";
import { meshMtu, type Underlay } from "../../node/underlay.ts";
import type { WantedTunnels } from "../driver.ts";
import type { FittingTunnels } from "./fitting.ts";

/** IPv6 needs 1280 bytes on every link (RFC 8200 section 5); Linux turns IPv6 off below it. */
const IPV6_MTU = 1280;

/**
 * MTU of the driver's devices, in bytes: what fits through the underlay towards all peers, as both sides know it. Never so
 * small that one node with a narrow link would take IPv6 from all. Pure.
 * @param device Name of the first device. @returns With what there is to be said about it.
 */
export function deviceMtu(
  { mtu: underlayMtu, tunnels, addresses }: WantedTunnels,
  { peers, guarded }: Pick<FittingTunnels, "peers" | "guarded">,
  underlay: Underlay,
  device: string,
): { readonly mtu: number; readonly obstacle?: string } {
  const endpoints = peers.flatMap(({ endpoint }) => (endpoint === undefined ? [] : [endpoint.address]));
  const own = underlayMtu === undefined ? meshMtu(underlay, endpoints, device) : inTunnel(underlayMtu);
  const theirs = tunnels.flatMap(({ peer }) => (peer.mtu === undefined ? [] : [inTunnel(peer.mtu)]));
  const mtu = Math.min(own, ...theirs);
  const hasIPv6 = [...guarded, ...addresses].some((one) => family(one) === 6);
  if (mtu >= IPV6_MTU || !hasIPv6) return { mtu };
  const least = IPV6_MTU + tunnelOverhead();
  const obstacle = `the underlay leaves ${mtu} bytes for the tunnel, and IPv6 needs ${IPV6_MTU}; give the nodes' links, and mtu in their agents' configurations, at least ${least}`;
  return { mtu: IPV6_MTU, obstacle };
}

function inTunnel(underlay: number): number {
  return tunnelMtu("wireguard", 6, underlay);
}

function tunnelOverhead(): number {
  return -inTunnel(0);
}
