import { type Family, family } from "../net/address.ts";
import { LIBIPSEC_MTU, tunnelMtu } from "../net/mtu.ts";
import type { Driver } from "../registry/node-record.ts";
import { isAddress } from "./candidates.ts";
import type { MeshPlan, PlannedPeer } from "./mesh-plan.ts";

/** What an MTU depends on besides the plan. */
export interface MtuOptions {
  /** Of this node's own links, in bytes. */
  readonly underlayMtu: number;
  /** Of this node's side of the path to a peer, in bytes, where it is another than `underlayMtu`. */
  readonly pathMtu?: (peer: PlannedPeer) => number | undefined;
  /** Who encrypts for the driver "ipsec": the user space has one MTU for everything. */
  readonly ipsecDataPlane: "kernel" | "userspace";
}

/**
 * The largest packet, in bytes, that fits through all tunnels of one driver: the MTU of its device, or of the routes
 * into it. Without peers what one would leave over IPv6: a first peer makes it no smaller, if its path is no narrower. Pure.
 */
export function meshMtuOf({ peers }: Pick<MeshPlan, "peers">, driver: Driver, options: MtuOptions): number {
  const mtus = peers.filter((peer) => peer.driver === driver).map((peer) => peerMtu(peer, options));
  return mtus.length > 0 ? Math.min(...mtus) : roomIn(driver, options.underlayMtu, 6, options);
}

/**
 * The largest packet, in bytes, that fits through the tunnel to one peer, by what both sides know of the underlay. WireGuard
 * leaves room for IPv6 outside whatever the endpoint is: the peer may roam there, and 1420 over Ethernet is what
 * everybody else's has. IPsec does so unless all addresses of the peer are IPv4; and its packets are taken to be in UDP, as charon
 * finds the NAT that asks for it only later. Pure.
 */
export function peerMtu(peer: PlannedPeer, options: MtuOptions): number {
  const own = options.pathMtu?.(peer) ?? options.underlayMtu;
  return roomIn(peer.driver, Math.min(own, peer.mtu ?? own), outerFamily(peer), options);
}

function roomIn(driver: Driver, underlayMtu: number, outer: Family, { ipsecDataPlane }: MtuOptions): number {
  if (driver === "wireguard") return tunnelMtu("wireguard", 6, underlayMtu);
  const room = tunnelMtu("esp-in-udp", outer, underlayMtu);
  return ipsecDataPlane === "userspace" ? Math.min(LIBIPSEC_MTU, room) : room;
}

/** IPv4 only when nothing else can be outside: a name may have any address, and who is waited for may come by any. */
function outerFamily({ candidates }: PlannedPeer): Family {
  const four = candidates.length > 0 && candidates.every(({ host }) => isAddress(host) && family(host) === 4);
  return four ? 4 : 6;
}
