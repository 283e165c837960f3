import { type Address, parseAddress } from "../net/address.ts";
import { type Endpoint, type NamedEndpoint, parseEndpoint } from "../net/endpoint.ts";
import { hostPrefix, type Prefix, parsePrefix } from "../net/prefix.ts";
import { PrefixMap } from "../net/prefix-map.ts";
import type { Secret } from "../secret.ts";
import type { PublicKey } from "../wireguard/key.ts";

/** A peer as it is configured: its endpoint may still be a name. */
export interface WantedPeer {
  readonly publicKey: PublicKey;
  /** For messages and listings alone. */
  readonly name?: string;
  /** Absent: the peer comes to us. */
  readonly endpoint?: Endpoint | NamedEndpoint;
  /** Each once, and none that another peer has as well. */
  readonly allowedIPs: readonly Prefix[];
  readonly presharedKey?: Secret;
  /** In seconds; 0 is never. */
  readonly persistentKeepalive: number;
  readonly place: PeerPlace;
}

/** Where a peer stands, for messages: `wireguard.peers[1].endpoint`, `/etc/wireguard/wg0.conf:12 Endpoint`. */
export interface PeerPlace {
  readonly publicKey: string;
  readonly endpoint: string;
  /** One for each of the peer's `allowedIPs`. */
  readonly allowedIPs: readonly string[];
}

/** An allowed IP, and where it stands. */
export interface AllowedIP {
  readonly prefix: Prefix;
  readonly path: string;
}

/** The allowed IPs of a peer, each once, split into what a {@link WantedPeer} has of them. */
export function distinct(allowed: readonly AllowedIP[]): Pick<WantedPeer, "allowedIPs"> & { readonly paths: string[] } {
  const first = new Map<Prefix, string>();
  for (const { prefix, path } of allowed) if (!first.has(prefix)) first.set(prefix, path);
  return { allowedIPs: [...first.keys()], paths: [...first.values()] };
}

/** All allowed IPs of all peers, with where they stand. */
export function allowedIPsOf(peers: readonly WantedPeer[]): AllowedIP[] {
  return peers.flatMap(({ allowedIPs, place }) =>
    allowedIPs.map((prefix, index) => ({ prefix, path: place.allowedIPs[index] ?? place.publicKey })),
  );
}

/** What {@link parseAllowedIP} takes, for messages. */
export const ALLOWED_IP_EXPECTED = "a prefix such as 10.1.0.0/24 or fd00:1::/64, or an address";

/** As in wg(8): a prefix, or an address that stands for the prefix of it alone; host bits are cleared. */
export function parseAllowedIP(text: string): Prefix | undefined {
  const address = parseAddress(text);
  return address === undefined ? parsePrefix(text) : hostPrefix(address);
}

/** What {@link parsePeerEndpoint} takes, for messages. */
export const ENDPOINT_EXPECTED =
  "address and port: 192.0.2.1:51820, [2001:db8::1]:51820 or node2.example:51820 (no link-local or multicast address)";

/** A UDP address to which packets can be sent from anywhere on the node: IPv6 link-local would need a zone. */
export function parsePeerEndpoint(text: string): Endpoint | NamedEndpoint | undefined {
  const endpoint = parseEndpoint(text);
  return endpoint !== undefined && "address" in endpoint && !isPeerAddress(endpoint.address) ? undefined : endpoint;
}

/** Whether packets can be sent to the address, as of an endpoint. Loopback is for a local forwarder. */
export function isPeerAddress(address: Address): boolean {
  // "This network", multicast and reserved (RFC 6890), and IPv6 link-local, on the canonical text.
  return !/^(?:0|22[4-9]|2[345]\d)\.|^::$|^fe[89ab][\da-f]:|^ff[\da-f]{2}:/.test(address);
}

/**
 * The pairs of prefixes that have an address in common; one for each of `allowed`.
 * @param only "inside": those pairs alone in which the other is inside of the allowed IP, or the same.
 */
export function overlapping<T extends { readonly prefix: Prefix }>(
  allowed: readonly AllowedIP[],
  others: readonly T[],
  only?: "inside",
): [AllowedIP, T][] {
  const found = new Map<AllowedIP, T>();
  if (only === undefined) {
    const outer = new PrefixMap<T>();
    for (const other of others) outer.set(other.prefix, other);
    for (const one of allowed) {
      const holder = outer.holder(one.prefix);
      if (holder !== undefined) found.set(one, holder.value);
    }
  }
  const outer = new PrefixMap<AllowedIP>();
  for (const one of allowed) outer.set(one.prefix, one);
  for (const other of others) {
    for (const { value } of outer.holders(other.prefix)) if (!found.has(value)) found.set(value, other);
  }
  return allowed.flatMap((one): [AllowedIP, T][] => {
    const other = found.get(one);
    return other === undefined ? [] : [[one, other]];
  });
}
