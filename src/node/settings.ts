import type { WantedPeer, WireguardConfig } from "../config/wireguard.ts";
import { parseAddress } from "../net/address.ts";
import type { Endpoint, NamedEndpoint } from "../net/endpoint.ts";
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
  resolved: ReadonlyMap<string, readonly string[]>,
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

/** Resolves them, each for itself: a name without an address is not in the map. */
export function resolvePeers(names: readonly string[]): Promise<Map<string, readonly string[]>> {
  return names.length === 0 ? Promise.resolve(new Map()) : resolveNames(names, RESOLVE_WITHIN);
}

function settledPeer(peer: WantedPeer, resolved: ReadonlyMap<string, readonly string[]>): Peer {
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
  resolved: ReadonlyMap<string, readonly string[]>,
): Endpoint | undefined {
  if ("address" in endpoint) return endpoint;
  const addresses = (resolved.get(endpoint.host) ?? []).map(parseAddress).filter((address) => address !== undefined);
  const [address] = addresses; // getaddrinfo's order (RFC 6724)
  return address === undefined ? undefined : { address, port: endpoint.port };
}
