import { addressBytes, family } from "../net/address.ts";
import { networkAddress, type Prefix, prefixLength } from "../net/prefix.ts";
import type { NodeRecord } from "./node-record.ts";

/** Something that a node has for itself alone. */
export interface Claim {
  /** Where it stands in the record. */
  readonly field: string;
  /** As messages show it; empty for a key. */
  readonly text: string;
  /** What to do where two have it. */
  readonly remedy: string;
}

/** A claim that is equal, or is another one. */
export interface KeyClaim extends Claim {
  readonly key: string;
}

/** Addresses as numbers, both ends included; IPv6 lies behind all of IPv4. Of two, one holds the other, or none has any of the other's. */
export interface RangeClaim extends Claim {
  readonly first: bigint;
  readonly last: bigint;
}

export interface Claims {
  readonly keys: readonly KeyClaim[];
  readonly ranges: readonly RangeClaim[];
}

const known = new WeakMap<NodeRecord, Claims>();

/** What a node claims for itself alone. Pure: what was reckoned once is only kept, as a registry asks at each change. */
export function claimsOf(record: NodeRecord): Claims {
  const before = known.get(record);
  if (before !== undefined) return before;
  const claims = { keys: [...keysOf(record)], ranges: record.podPrefixes.map(rangeClaim) };
  known.set(record, claims);
  return claims;
}

const PREFIX_REMEDY =
  "give each node pod prefixes of its own; where they are cut from a network, its agent does so itself";
const KEY_REMEDY = "make a new key on one of the two: remove its key file there and restart its agent";
const IDENTITY_REMEDY = "give each node an ipsec.identity of its own in agent.yaml, apart from capitals";
const UNDERLAY_REMEDY = "give each node addresses or a wireguard.port of its own in agent.yaml, or another site";
const ADDRESS_REMEDY = "give each node an address of its own";

function* keysOf(record: NodeRecord): Generator<KeyClaim> {
  const { wireguard, ipsec } = record;
  for (const [driver, identity] of [
    ["wireguard", wireguard],
    ["ipsec", ipsec],
  ] as const) {
    for (const field of ["publicKey", "nextPublicKey"] as const) {
      const key = identity?.[field];
      // A public key is no secret, but nobody compares two of them by eye.
      if (key !== undefined) yield { key: `key ${key}`, field: `${driver}.${field}`, text: "", remedy: KEY_REMEDY };
    }
  }
  if (ipsec !== undefined) {
    // charon (5.9.8) compares names without regard to capitals.
    const key = `identity ${ipsec.identity.toLowerCase()}`;
    yield { key, field: "ipsec.identity", text: `"${ipsec.identity}"`, remedy: IDENTITY_REMEDY };
  }
  yield* underlayKeys(record);
  for (const [index, address] of record.addresses.entries()) {
    yield { key: `address ${address}`, field: `addresses[${index}]`, text: `"${address}"`, remedy: ADDRESS_REMEDY };
  }
}

/** Private addresses may be used again in each site; at a public one, nodes behind a NAT differ by their ports. */
function* underlayKeys({ underlay, site, drivers, wireguard }: NodeRecord): Generator<KeyClaim> {
  const ports = [
    ...(wireguard !== undefined && drivers.includes("wireguard") ? [wireguard.port] : []),
    ...(drivers.includes("ipsec") ? [IKE_NAT_PORT] : []),
  ];
  for (const scope of ["private", "public"] as const) {
    for (const [index, host] of underlay[scope].entries()) {
      for (const port of ports) {
        const key = `${scope === "private" ? `site ${site ?? ""}` : "public"} ${host} ${port}`;
        const text = `"${host}" with UDP port ${port}`;
        yield { key, field: `underlay.${scope}[${index}]`, text, remedy: UNDERLAY_REMEDY };
      }
    }
  }
}

/** RFC 3947. */
const IKE_NAT_PORT = 4500;

function rangeClaim(prefix: Prefix, index: number): RangeClaim {
  const { first, last } = rangeOf(prefix);
  return { first, last, field: `podPrefixes[${index}]`, text: `"${prefix}"`, remedy: PREFIX_REMEDY };
}

/** The addresses of a prefix as numbers, as in {@link RangeClaim}. */
export function rangeOf(prefix: Prefix): { readonly first: bigint; readonly last: bigint } {
  const isIPv6 = family(prefix) === 6;
  const hex = Buffer.from(addressBytes(networkAddress(prefix))).toString("hex");
  const first = BigInt(`0x${hex}`) + (isIPv6 ? IPV6 : 0n);
  return { first, last: first + (1n << BigInt((isIPv6 ? 128 : 32) - prefixLength(prefix))) - 1n };
}

/** Where IPv6 begins. */
const IPV6 = 1n << 128n;
