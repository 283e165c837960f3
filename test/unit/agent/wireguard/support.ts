import { parseAddress } from "../../../../src/net/address.ts";
import { type Prefix, parsePrefix } from "../../../../src/net/prefix.ts";
import { Secret } from "../../../../src/secret.ts";
import type { DeviceState, PeerState } from "../../../../src/wireguard/device.ts";
import { clamped, type PublicKey, publicKeyFrom } from "../../../../src/wireguard/key.ts";

/** A private key that is told by its number. */
export function privateKey(number: number): Secret {
  return clamped(new Secret(new Uint8Array(32).fill(number)));
}

/** The public key that stands for {@link privateKey} in these tests, in which nothing is encrypted. */
export function publicKey(number: number): PublicKey {
  return publicKeyFrom(privateKey(number).reveal());
}

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

export function endpoint(text: string, port: number) {
  const address = parseAddress(text);
  if (address === undefined) throw new TypeError(text);
  return { address, port };
}

/** A peer as a device has it; without a handshake unless told. */
export function peerState(key: PublicKey, prefixes: readonly string[], more: Partial<PeerState> = {}): PeerState {
  const base = { publicKey: key, allowedIPs: prefixes.map(prefix), persistentKeepalive: 0 };
  return { ...base, receivedBytes: 0, sentBytes: 0, ...more };
}

export function deviceState(key: Secret, peers: readonly PeerState[], listenPort = 51_820): DeviceState {
  return { privateKey: key, listenPort, fwmark: 0, peers };
}
