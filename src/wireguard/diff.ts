import { sameEndpoint } from "../net/endpoint.ts";
import type { Prefix } from "../net/prefix.ts";
import type { DeviceChange, DeviceSettings, DeviceState, Peer, PeerChange, PeerState } from "./device.ts";
import { clamped, type PublicKey, sameSecret } from "./key.ts";

/** What a difference depends on besides its two sides. */
export interface DiffOptions {
  /** In milliseconds since 1970. */
  readonly now: number;
  /** Gives a public key that nobody has, such as `randomPublicKey`. Asked only when one is needed. */
  readonly dummy: () => PublicKey;
  /** Peers of which it is known that nothing comes from them any more, however young their handshake is. */
  readonly lost?: ReadonlySet<PublicKey> | undefined;
}

/** In milliseconds: no session is older (whitepaper, section 6.1, REJECT-AFTER-TIME). */
export const REJECT_AFTER_TIME = 180_000;

/**
 * What to change of a device that is `actual`, so that it becomes `wanted`, and no more: a peer that is right does not
 * appear, so its session goes on. First peers are made and altered: an allowed IP is taken over from its owner in one
 * step, so that it never belongs to nobody. Then goes what shall belong to nobody, then peers that are not wanted.
 */
export function diff(wanted: DeviceSettings, actual: DeviceState, options: DiffOptions): DeviceChange {
  const before = new Map(actual.peers.map((peer) => [peer.publicKey, peer]));
  const after = new Set(wanted.peers.map(({ publicKey }) => publicKey));
  const privateKey = clamped(wanted.privateKey); // as the device has it
  // Any port will do for 0, but none will not: an interface that is up has one unless it could not open its socket.
  const samePort = wanted.listenPort === 0 ? actual.listenPort !== 0 : wanted.listenPort === actual.listenPort;
  return {
    ...(!sameSecret(privateKey, actual.privateKey) && { privateKey }),
    ...(!samePort && { listenPort: wanted.listenPort }),
    ...(wanted.fwmark !== actual.fwmark && { fwmark: wanted.fwmark }),
    peers: [
      ...wanted.peers.flatMap((peer) => {
        const there = before.get(peer.publicKey);
        return there === undefined ? [creation(peer)] : alterations(peer, there, options);
      }),
      ...disposal(orphans(wanted, actual, after), options.dummy),
      ...actual.peers.filter(({ publicKey }) => !after.has(publicKey)).map(removal),
    ],
  };
}

/** Whether the change changes nothing. */
export function isEmpty(change: DeviceChange): boolean {
  const { privateKey, listenPort, fwmark, peers } = change;
  return privateKey === undefined && listenPort === undefined && fwmark === undefined && peers.length === 0;
}

/**
 * Whether a session with the peer can still be there. A handshake far in the future is one from before the clock was
 * set back: nothing is known of its age, and it must not count as alive until that time comes.
 */
export function isAlive({ latestHandshake }: PeerState, now: number): boolean {
  return latestHandshake !== undefined && Math.abs(now - latestHandshake) <= REJECT_AFTER_TIME;
}

function creation({ allowedIPs, ...peer }: Peer): PeerChange {
  return { ...peer, isNew: true, addAllowedIPs: allowedIPs };
}

function removal({ publicKey }: { readonly publicKey: PublicKey }): PeerChange {
  return { publicKey, remove: true };
}

/** One alteration, or none when the peer is right. */
function alterations(peer: Peer, there: PeerState, options: DiffOptions): PeerChange[] {
  const owned = new Set(there.allowedIPs);
  const addAllowedIPs = peer.allowedIPs.filter((prefix) => !owned.has(prefix));
  const { endpoint, persistentKeepalive } = peer;
  const fields = {
    ...(!sameSecret(peer.presharedKey, there.presharedKey) && { presharedKey: peer.presharedKey ?? ("none" as const) }),
    ...(endpoint !== undefined && isEndpointDue(peer, there, options) && { endpoint }),
    ...(persistentKeepalive !== there.persistentKeepalive && { persistentKeepalive }),
  };
  if (addAllowedIPs.length === 0 && Object.keys(fields).length === 0) return [];
  return [{ publicKey: peer.publicKey, isNew: false, ...fields, addAllowedIPs }];
}

/** A peer that is alive has said itself where it is now: behind a NAT that is not where the configuration has it. */
function isEndpointDue({ publicKey, endpoint }: Peer, there: PeerState, { now, lost }: DiffOptions): boolean {
  if (endpoint === undefined) return false;
  if (there.endpoint === undefined) return true;
  return !sameEndpoint(endpoint, there.endpoint) && (!isAlive(there, now) || lost?.has(publicKey) === true);
}

/** Allowed IPs that no peer shall have, though the one that has them stays. */
function orphans(wanted: DeviceSettings, actual: DeviceState, staying: ReadonlySet<PublicKey>): Prefix[] {
  const owned = new Set(wanted.peers.flatMap(({ allowedIPs }) => allowedIPs));
  return actual.peers
    .filter(({ publicKey }) => staying.has(publicKey))
    .flatMap(({ allowedIPs }) => allowedIPs)
    .filter((prefix) => !owned.has(prefix));
}

/**
 * No interface can take an allowed IP away from a peer save by replacing all of the peer's, which would drop packets:
 * so a new peer takes them, and goes with them.
 */
function disposal(prefixes: readonly Prefix[], dummy: () => PublicKey): PeerChange[] {
  if (prefixes.length === 0) return [];
  const publicKey = dummy();
  return [{ publicKey, isNew: true, persistentKeepalive: 0, addAllowedIPs: prefixes }, removal({ publicKey })];
}
