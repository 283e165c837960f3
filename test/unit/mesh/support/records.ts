import { type Address, parseAddress } from "../../../../src/net/address.ts";
import { type Prefix, parsePrefix } from "../../../../src/net/prefix.ts";
import type { IpsecIdentity, NodeRecord, WireguardIdentity } from "../../../../src/registry/node-record.ts";
import { publicKeyFrom } from "../../../../src/wireguard/key.ts";

/** The address in `text`. @throws Error when it is none. */
export function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`${text} is no address`);
  return parsed;
}

/** The prefix in `text`. @throws Error when it is none. */
export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`${text} is no prefix`);
  return parsed;
}

/** An identity that no other number has. */
export function wireguardOf(number: number): WireguardIdentity {
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setUint32(0, number);
  return { publicKey: publicKeyFrom(bytes), port: 51820 };
}

export function ipsecOf(number: number): IpsecIdentity {
  return { identity: `n${number}.mesh`, publicKey: `key ${number}` };
}

/**
 * Node `n<number>`: 192.0.2.<number>, or 198.51.<..> above 255, as its private address, 10.101.<number>.0/24 for its
 * pods, both drivers known but WireGuard alone offered.
 */
export function record(number: number, changes: Partial<NodeRecord> = {}): NodeRecord {
  const [high, low] = [number >> 8, number & 255];
  return {
    name: `n${number}`,
    generation: 1,
    underlay: { private: [address(high === 0 ? `192.0.2.${low}` : `198.51.${high}.${low}`)], public: [] },
    podPrefixes: [prefix(`10.${101 + high}.${low}.0/24`)],
    addresses: [address(`10.${101 + high}.${low}.1`)],
    drivers: ["wireguard"],
    wireguard: wireguardOf(number),
    ipsec: ipsecOf(number),
    gateway: false,
    keepalive: 0,
    labels: {},
    ...changes,
  };
}

/** A node of a site with a public address of its own: 203.0.113.<number>. */
export function sited(number: number, site: string, changes: Partial<NodeRecord> = {}): NodeRecord {
  const plain = record(number);
  const underlay = { private: plain.underlay.private, public: [address(`203.0.113.${number}`)] };
  return { ...plain, site, underlay, ...changes };
}

export function gateway(number: number, site: string, changes: Partial<NodeRecord> = {}): NodeRecord {
  return sited(number, site, { gateway: true, ...changes });
}
