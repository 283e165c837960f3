import type { TunnelState } from "../../../src/agent/driver.ts";
import type { PlannedPeer } from "../../../src/mesh/mesh-plan.ts";
import { type Address, parseAddress } from "../../../src/net/address.ts";
import { type Endpoint, parseEndpoint } from "../../../src/net/endpoint.ts";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";
import { publicKeyFrom } from "../../../src/wireguard/key.ts";

export function address(text: string): Address {
  return given(parseAddress(text), text);
}

export function prefix(text: string): Prefix {
  return given(parsePrefix(text), text);
}

export function endpoint(text: string): Endpoint {
  const parsed = given(parseEndpoint(text), text);
  if ("host" in parsed) throw new Error(`${text} has a name`);
  return parsed;
}

/** A public key that is told from others by a number. */
export const key = (number: number) => publicKeyFrom(new Uint8Array(32).fill(number));

/** Peer `n<index>` with pods 10.101.<index>.0/24, at 10.9.0.<index>. */
export function peer(index: number, overrides: Partial<PlannedPeer> = {}): PlannedPeer {
  return {
    name: `n${index}`,
    driver: "wireguard",
    candidates: [{ host: address(`10.9.0.${index}`), scope: "private" }],
    prefixes: [prefix(`10.101.${index}.0/24`)],
    localPrefixes: [prefix("10.101.1.0/24")],
    probes: [address(`10.101.${index}.1`)],
    initiates: true,
    keepalive: 0,
    wireguard: { publicKey: key(index), port: 51820 },
    ...overrides,
  };
}

export function tunnel(overrides: Partial<TunnelState> = {}): TunnelState {
  return { name: "n2", device: "podvpn0", receivedBytes: 0, sentBytes: 0, mtu: 1420, ...overrides };
}

function given<T>(value: T | undefined, text: string): T {
  if (value === undefined) throw new Error(`${text} was not understood`);
  return value;
}
