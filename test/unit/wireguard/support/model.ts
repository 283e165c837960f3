import fc from "fast-check";
import { parseAddress } from "../../../../src/net/address.ts";
import { type Endpoint, sameEndpoint } from "../../../../src/net/endpoint.ts";
import { type Prefix, parsePrefix } from "../../../../src/net/prefix.ts";
import { Secret } from "../../../../src/secret.ts";
import type {
  DeviceChange,
  DeviceSettings,
  DeviceState,
  Peer,
  PeerChange,
  PeerState,
} from "../../../../src/wireguard/device.ts";
import { clamped, type PublicKey, publicKeyFrom } from "../../../../src/wireguard/key.ts";

/** When the states of these tests are looked at, in milliseconds. */
export const NOW = 1_800_000_000_000;

/** The `index`-th of some public keys. */
export function key(index: number): PublicKey {
  return publicKeyFrom(new Uint8Array(32).fill(index));
}

/** A private or preshared key that is another for each `index` from 0 to 255, clamped. */
export function secret(index: number): Secret {
  return clamped(new Secret(new Uint8Array(32).fill(index, 1, 31)));
}

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

export function endpoint(text: string, port: number): Endpoint {
  const address = parseAddress(text);
  if (address === undefined) throw new TypeError(text);
  return { address, port };
}

/** A peer without anything that is not given. */
export function peer(index: number, rest: Partial<Omit<Peer, "publicKey">> = {}): Peer {
  return { publicKey: key(index), persistentKeepalive: 0, allowedIPs: [], ...rest };
}

/** The state that a device has to which `settings` were written, before any traffic. */
export function stateOf(settings: DeviceSettings): DeviceState {
  return { ...settings, peers: settings.peers.map((one) => ({ ...one, receivedBytes: 0, sentBytes: 0 })) };
}

/** What WireGuard does with a change, peer by peer: the states after each step. Allowed IPs are taken from who has them. */
export function steps(state: DeviceState, { peers, ...device }: DeviceChange): DeviceState[] {
  const port = device.listenPort === 0 ? { listenPort: 49_152 } : {};
  const states: DeviceState[] = [{ ...state, ...device, ...port }];
  for (const change of peers) {
    const last = states.at(-1) ?? state;
    states.push({ ...last, peers: changed(last.peers, change) });
  }
  return states;
}

function changed(peers: readonly PeerState[], change: PeerChange): PeerState[] {
  if ("remove" in change) return peers.filter(({ publicKey }) => publicKey !== change.publicKey);
  const { isNew, presharedKey, addAllowedIPs, ...fields } = change;
  const there = peers.find(({ publicKey }) => publicKey === change.publicKey);
  if (there === undefined && !isNew) return [...peers];
  const fresh: PeerState = {
    publicKey: change.publicKey,
    persistentKeepalive: 0,
    allowedIPs: [],
    receivedBytes: 0,
    sentBytes: 0,
  };
  const { presharedKey: old, ...rest } = { ...(there ?? fresh), ...fields };
  const own = new Set(addAllowedIPs);
  const psk = presharedKey === undefined ? old : presharedKey === "none" ? undefined : presharedKey;
  const result: PeerState = {
    ...rest,
    ...(psk === undefined ? {} : { presharedKey: psk }),
    allowedIPs: [...new Set([...rest.allowedIPs, ...own])],
  };
  const others = peers
    .filter(({ publicKey }) => publicKey !== change.publicKey)
    .map((other) => ({ ...other, allowedIPs: other.allowedIPs.filter((prefix) => !own.has(prefix)) }));
  return [...others, result];
}

/** Who has which allowed IP. */
export function owners(peers: readonly Peer[]): Map<Prefix, PublicKey> {
  return new Map(
    peers.flatMap(({ publicKey, allowedIPs }) => allowedIPs.map((prefix) => [prefix, publicKey] as const)),
  );
}

/** What is compared of a peer, as text that says the same for equal ones. */
export function essence(peer: Peer): string {
  const { publicKey, presharedKey, persistentKeepalive, allowedIPs } = peer;
  const psk = presharedKey === undefined ? "" : Buffer.from(presharedKey.reveal()).toString("hex");
  return JSON.stringify([publicKey, psk, persistentKeepalive, [...allowedIPs].sort()]);
}

/** Few values of each kind, so that two states have much in common. */
const PREFIXES = [
  "0.0.0.0/0",
  "10.0.0.0/8",
  "10.1.0.0/16",
  "10.1.2.0/24",
  "10.1.2.3/32",
  "::/0",
  "fd00::/8",
  "fd00::1/128",
]
  .map(prefix)
  .concat(Array.from({ length: 8 }, (_, index) => prefix(`172.16.${index}.0/24`)));
const ENDPOINTS = [endpoint("192.0.2.1", 51820), endpoint("192.0.2.1", 51821), endpoint("2001:db8::1", 51820)];

const peerFields = fc.record(
  {
    presharedKey: fc.integer({ min: 1, max: 2 }).map(secret),
    endpoint: fc.constantFrom(...ENDPOINTS),
    persistentKeepalive: fc.constantFrom(0, 25),
  },
  { requiredKeys: ["persistentKeepalive"] },
);

/** Peers of which no two have the same key or an allowed IP in common. */
const peers: fc.Arbitrary<Peer[]> = fc
  .tuple(
    fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { maxLength: 6 }),
    fc.array(peerFields, { minLength: 6, maxLength: 6 }),
    fc.array(fc.integer({ min: -2, max: 5 }), { minLength: PREFIXES.length, maxLength: PREFIXES.length }),
  )
  .map(([keys, fields, dealt]) =>
    keys.map((index, position) => ({
      publicKey: key(index),
      ...(fields[position] ?? { persistentKeepalive: 0 }),
      allowedIPs: PREFIXES.filter((_, at) => dealt[at] === position),
    })),
  );

export const settings: fc.Arbitrary<DeviceSettings> = fc.record({
  privateKey: fc.integer({ min: 11, max: 12 }).map(secret),
  listenPort: fc.constantFrom(0, 51820, 51821),
  fwmark: fc.constantFrom(0, 51820),
  peers,
});

const traffic = fc.record(
  {
    latestHandshake: fc.constantFrom(NOW, NOW - 120_000, NOW - 180_000, NOW - 180_001, NOW - 86_400_000),
    receivedBytes: fc.nat(),
    sentBytes: fc.nat(),
  },
  { requiredKeys: ["receivedBytes", "sentBytes"] },
);

export const states: fc.Arbitrary<DeviceState> = fc
  .tuple(settings, fc.array(traffic, { minLength: 6, maxLength: 6 }), fc.boolean())
  .map(([{ privateKey, ...device }, counters, isFresh]) => ({
    ...device,
    ...(isFresh ? {} : { privateKey }),
    peers: device.peers.map((one, index) => ({ ...one, ...(counters[index] ?? { receivedBytes: 0, sentBytes: 0 }) })),
  }));

/** Whether both have none, or the same. */
export function sameEndpoints(one: Endpoint | undefined, other: Endpoint | undefined): boolean {
  return one === undefined || other === undefined ? one === other : sameEndpoint(one, other);
}
