import type { WantedPeer, WireguardConfig } from "../config/wireguard.ts";
import { isPeerAddress } from "../config/wireguard-peer.ts";
import { type Address, parseAddress } from "../net/address.ts";
import type { Endpoint, NamedEndpoint } from "../net/endpoint.ts";
import { contains, type Prefix } from "../net/prefix.ts";
import { resolveNames } from "../os/resolve.ts";
import type { Secret } from "../secret.ts";
import type { DeviceSettings, DeviceState, Peer } from "../wireguard/device.ts";
import { isAlive } from "../wireguard/diff.ts";

/** Milliseconds for each name: an ADD waits no longer for a name server that is dead. */
const RESOLVE_WITHIN = 2000;

/**
 * What a device shall be, from the configuration. A peer whose endpoint is a name has none here unless `resolved` has
 * its address: it can still come to us. Pure.
 */
export function deviceSettings(
  config: Pick<WireguardConfig, "listenPort" | "fwmark" | "peers">,
  privateKey: Secret,
  resolved: ReadonlyMap<string, readonly Address[]>,
): DeviceSettings {
  const { listenPort, fwmark, peers } = config;
  return { privateKey, listenPort, fwmark, peers: peers.map((peer) => settledPeer(peer, resolved)) };
}

/**
 * The host names of peers that have to be resolved now: a peer that is alive stays where it is, and asks no name
 * server. Pure.
 */
export function namesToResolve(peers: readonly WantedPeer[], state: DeviceState, now: number): string[] {
  const known = new Map(state.peers.map((peer) => [peer.publicKey, peer]));
  return peers.flatMap(({ publicKey, endpoint }) => {
    const peer = known.get(publicKey);
    const settled = peer?.endpoint !== undefined && isAlive(peer, now);
    return endpoint !== undefined && "host" in endpoint && !settled ? [endpoint.host] : [];
  });
}

/**
 * Resolves them, each for itself: a name without an address is not in the map.
 * @param mesh What goes through the device itself, if its encrypted packets would: as of {@link usableAddresses}.
 */
export async function resolvePeers(
  names: readonly string[],
  mesh: readonly Prefix[],
): Promise<ReadonlyMap<string, readonly Address[]>> {
  return names.length === 0 ? new Map() : usableAddresses(await resolveNames(names, RESOLVE_WITHIN), mesh);
}

/**
 * What of the answers can be an endpoint, as it is refused where the configuration has the address itself: not
 * link-local, not multicast, and not behind a peer, where its own encrypted packets would go into the tunnel. Pure.
 */
export function usableAddresses(
  resolved: ReadonlyMap<string, readonly string[]>,
  mesh: readonly Prefix[],
): Map<string, readonly Address[]> {
  const usable = (address: Address | undefined): address is Address =>
    address !== undefined && isPeerAddress(address) && !mesh.some((prefix) => contains(prefix, address));
  const found = [...resolved].map(([name, texts]) => [name, texts.map(parseAddress).filter(usable)] as const);
  return new Map(found.filter(([, addresses]) => addresses.length > 0));
}

function settledPeer(peer: WantedPeer, resolved: ReadonlyMap<string, readonly Address[]>): Peer {
  const { publicKey, presharedKey, persistentKeepalive, allowedIPs } = peer;
  const endpoint = peer.endpoint === undefined ? undefined : settledEndpoint(peer.endpoint, resolved);
  return {
    publicKey,
    persistentKeepalive,
    allowedIPs,
    ...(presharedKey === undefined ? {} : { presharedKey }),
    ...(endpoint === undefined ? {} : { endpoint }),
  };
}

function settledEndpoint(
  endpoint: Endpoint | NamedEndpoint,
  resolved: ReadonlyMap<string, readonly Address[]>,
): Endpoint | undefined {
  if ("address" in endpoint) return endpoint;
  const [address] = resolved.get(endpoint.host) ?? []; // getaddrinfo's order (RFC 6724)
  return address === undefined ? undefined : { address, port: endpoint.port };
}
