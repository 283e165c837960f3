import { type Address, family } from "../../net/address.ts";
import { contains } from "../../net/prefix.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { openRoute } from "../../netlink/open.ts";
import { lookupRoute, type Route } from "../../netlink/routes.ts";
import type { Observed } from "../../node/observe.ts";
import { knock } from "../../os/knock.ts";
import { type Counters, readCounters } from "./counters.ts";
import type { MeshDevice, MeshPeer } from "./devices.ts";
import { measurePathMtu, type PathMtu } from "./path-mtu.ts";
import { ping } from "./ping.ts";

/** What was measured of the way to a peer. */
export interface PathFacts {
  readonly device: MeshDevice;
  readonly peer: MeshPeer;
  /** Absent: nobody knows where the peer is. */
  readonly underlay?: UnderlayFacts;
  /** Pings through the tunnel. */
  readonly pings: readonly TunnelPing[];
  /** Absent: the device does not tell. */
  readonly before?: Counters;
  readonly after?: Counters;
}

/** Outside of the tunnel. */
export interface UnderlayFacts {
  /** Absent: there is none, or one that refuses. */
  readonly route?: Route;
  /** As of {@link knock}, at the tunnel's UDP port. */
  readonly knock: string;
  readonly mtu: PathMtu;
}

export interface TunnelPing {
  readonly source: Address;
  readonly target: Address;
  readonly sent: number;
  readonly received: number;
}

/** In each ping, in bytes: far more than what else goes through a tunnel in the same second. */
export const PING_SIZE = 428;
const PINGS = 3;

/** At once: each has some processes. */
const AT_ONCE = 16;

/** IKE's second port, at which a keep-alive is ignored (RFC 3948). */
const NAT_PORT = 4500;

/** Measures the ways to all peers of a device. @throws Fault 101 without ping(8), NetlinkError. */
export async function measurePaths(device: MeshDevice, observed: Observed): Promise<PathFacts[]> {
  using nl = openRoute();
  const before = await readCounters(device);
  const measured: (Pick<PathFacts, "underlay" | "pings"> & { readonly peer: MeshPeer })[] = [];
  for (let start = 0; start < device.peers.length; start += AT_ONCE) {
    const part = device.peers.slice(start, start + AT_ONCE);
    measured.push(...(await Promise.all(part.map((peer) => measurePath(nl, device, peer, observed)))));
  }
  const after = await readCounters(device);
  return measured.map(({ peer, ...measures }) => {
    const [first, last] = [before.get(peer.name), after.get(peer.name)];
    return { device, peer, ...measures, ...(first && { before: first }), ...(last && { after: last }) };
  });
}

async function measurePath(nl: Netlink, device: MeshDevice, peer: MeshPeer, observed: Observed) {
  const [underlay, pings] = await Promise.all([measureUnderlay(nl, device, peer), pingThrough(device, peer, observed)]);
  return { peer, pings, ...(underlay && { underlay }) };
}

async function measureUnderlay(nl: Netlink, device: MeshDevice, peer: MeshPeer): Promise<UnderlayFacts | undefined> {
  const { endpoint } = peer;
  if (endpoint === undefined) return undefined;
  const { address, port } = endpoint;
  const [route, heard, mtu] = await Promise.all([
    lookupRoute(nl, address),
    knock(address, device.kind === "ipsec" ? NAT_PORT : port),
    measurePathMtu(device, address),
  ]);
  return { knock: heard, mtu, ...(route && { route }) };
}

async function pingThrough(device: MeshDevice, { targets }: MeshPeer, observed: Observed): Promise<TunnelPing[]> {
  const pings = targets.map(async (target) => {
    const source = ownAddress(device, observed, target);
    if (source === undefined) return undefined;
    const { sent, received } = await ping({ target, source, count: PINGS, size: PING_SIZE });
    return { source, target, sent, received };
  });
  return (await Promise.all(pings)).filter((result) => result !== undefined);
}

/** An address of this node that the peers take for one of its pods'. Pure. */
export function ownAddress(
  { record }: Pick<MeshDevice, "record">,
  { subnets }: Pick<Observed, "subnets">,
  target: Address,
): Address | undefined {
  const own = subnets.filter(({ address }) => record.podSubnets.some((subnet) => contains(subnet, address)));
  return own.find(({ address }) => family(address) === family(target))?.address;
}
