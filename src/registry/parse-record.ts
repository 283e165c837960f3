import { overlapping } from "../config/agent-pods.ts";
import { labelsOf, repeated, withoutKeys } from "../config/agent-values.ts";
import { parseFields, unknownKeys } from "../config/fields.ts";
import { isObject, kindOf, parseItem } from "../config/hub-item.ts";
import { type Issue, pathOf } from "../config/issues.ts";
import { type Address, family } from "../net/address.ts";
import { contains, firstHost, networkAddress, type Prefix, prefixLength } from "../net/prefix.ts";
import type { Driver, IpsecIdentity, NodeRecord, WireguardIdentity } from "./node-record.ts";
import { ipsecIdentityFields, recordFields, underlayFields, wireguardIdentityFields } from "./record-fields.ts";

/** Made once: a registry may have thousands of records. */
interface RecordFields {
  readonly record: ReturnType<typeof recordFields>;
  readonly underlay: ReturnType<typeof underlayFields>;
  readonly wireguard: ReturnType<typeof wireguardIdentityFields>;
  readonly ipsec: ReturnType<typeof ipsecIdentityFields>;
}

let made: RecordFields | undefined;

function fieldsOf(): RecordFields {
  made ??= {
    record: recordFields(),
    underlay: underlayFields(),
    wireguard: wireguardIdentityFields(),
    ipsec: ipsecIdentityFields(),
  };
  return made;
}

/**
 * Reads a node's record out of what YAML or JSON gave. Pure.
 * @returns The record, or everything that is wrong with it: each begins with the path of its field, none shows a key.
 */
export function recordOf(raw: unknown): NodeRecord | readonly [Issue, ...Issue[]] {
  const issues: Issue[] = [];
  const record = readRecord(raw, issues);
  const [first, ...others] = issues.map(withoutKeys);
  if (first !== undefined) return [first, ...others];
  if (record === undefined) throw new TypeError("an error in a record was found and not told");
  return record;
}

function readRecord(raw: unknown, issues: Issue[]): NodeRecord | undefined {
  if (!isObject(raw)) {
    issues.push({ what: `it holds ${kindOf(raw)}`, remedy: "write name, podPrefixes and wireguard or ipsec" });
    return undefined;
  }
  const { record: fields, underlay: underlayKeys } = fieldsOf();
  const record = parseFields(fields, raw, "");
  issues.push(...unknownKeys(fields, raw, ""), ...record.issues);
  const underlay = parseItem(underlayKeys, raw.underlay ?? {}, "underlay");
  issues.push(...underlay.issues);
  const { name, podPrefixes, site, mtu, since } = record.values;
  const wireguard = wireguardOf(raw.wireguard, issues);
  const ipsec = ipsecOf(raw.ipsec, name, issues);
  const labels = labelsOf(raw.labels, "labels", issues);
  const drivers = driversOf(raw, record.values.drivers, issues);
  issues.push(
    ...repeated(underlay.values.private, "underlay.private"),
    ...repeated(underlay.values.public, "underlay.public"),
    ...overlapping(podPrefixes ?? [], "podPrefixes"),
    ...misplaced(record.values.addresses ?? [], podPrefixes),
  );
  if (!record.complete || !underlay.complete) return undefined;
  const { generation, gateway, keepalive, addresses } = record.values;
  return {
    name: record.values.name,
    generation,
    underlay: { private: underlay.values.private, public: underlay.values.public },
    podPrefixes: record.values.podPrefixes,
    ...(since === undefined ? {} : { since }),
    addresses: addresses ?? firstAddresses(record.values.podPrefixes),
    drivers,
    ...(wireguard === undefined ? {} : { wireguard }),
    ...(ipsec === undefined ? {} : { ipsec }),
    ...(site === undefined ? {} : { site }),
    gateway,
    keepalive,
    ...(mtu === undefined ? {} : { mtu }),
    labels,
  };
}

/**
 * The first address of each family that a host can have in the first prefix of that family: not the network's address,
 * which in IPv6 is any router's (RFC 4291, section 2.6.1), save in a prefix of one or two (RFC 3021, RFC 6164). It is
 * what bridges take for themselves.
 */
export function firstAddresses(podPrefixes: readonly Prefix[]): Address[] {
  return ([4, 6] as const).flatMap((version) => {
    const prefix = podPrefixes.find((candidate) => family(candidate) === version);
    if (prefix === undefined) return [];
    const bits = version === 4 ? 32 : 128;
    return prefixLength(prefix) >= bits - 1 ? [networkAddress(prefix)] : [firstHost(prefix)];
  });
}

function wireguardOf(raw: unknown, issues: Issue[]): WireguardIdentity | undefined {
  if (raw === undefined || raw === null) return undefined;
  const parsed = parseItem(fieldsOf().wireguard, raw, "wireguard");
  issues.push(...parsed.issues, ...sameKey(parsed.values, "wireguard"));
  if (!parsed.complete) return undefined;
  const { publicKey, port, nextPublicKey } = parsed.values;
  return { publicKey, port, ...(nextPublicKey === undefined ? {} : { nextPublicKey }) };
}

function ipsecOf(raw: unknown, name: string | undefined, issues: Issue[]): IpsecIdentity | undefined {
  if (raw === undefined || raw === null) return undefined;
  const parsed = parseItem(fieldsOf().ipsec, raw, "ipsec");
  issues.push(...parsed.issues, ...sameKey(parsed.values, "ipsec"));
  const { identity = name, publicKey, nextPublicKey } = parsed.values;
  if (nextPublicKey !== undefined && publicKey === undefined && parsed.complete) {
    issues.push({ what: "ipsec.publicKey is missing, and ipsec.nextPublicKey is given", remedy: "give both, or none" });
  }
  if (!parsed.complete || identity === undefined) return undefined;
  return {
    identity,
    ...(publicKey === undefined ? {} : { publicKey }),
    ...(nextPublicKey === undefined ? {} : { nextPublicKey }),
  };
}

interface Keys {
  readonly publicKey?: string | undefined;
  readonly nextPublicKey?: string | undefined;
}

function sameKey(keys: Keys, path: string): Issue[] {
  if (keys.publicKey === undefined || keys.publicKey !== keys.nextPublicKey) return [];
  const what = `${pathOf(path, "nextPublicKey")} is the same as ${pathOf(path, "publicKey")}`;
  return [{ what, remedy: "give a new key, or take it out" }];
}

/** What it can encrypt with; it must have an identity for each. */
function driversOf(
  raw: Readonly<Record<string, unknown>>,
  given: readonly Driver[] | undefined,
  issues: Issue[],
): readonly Driver[] {
  const known = (["wireguard", "ipsec"] as const).filter((driver) => (raw[driver] ?? undefined) !== undefined);
  if (given === undefined && (raw.drivers ?? undefined) !== undefined) return known; // wrong, and told already
  if (given === undefined && known.length === 0) {
    const remedy = "give wireguard with a publicKey, or ipsec with an identity, or both";
    issues.push({ what: "wireguard is missing, and so is ipsec", remedy });
  }
  for (const driver of given ?? []) {
    if (known.includes(driver)) continue;
    issues.push({
      what: `${driver} is missing, and drivers has it`,
      remedy: `give ${driver}, or take it out of drivers`,
    });
  }
  return given ?? known;
}

/** Each of the node's addresses is in a pod prefix, which nobody else has, and there is one of each family. */
function misplaced(addresses: readonly Address[], podPrefixes: readonly Prefix[] | undefined): Issue[] {
  return addresses.flatMap((address, index) => {
    const what = `${pathOf("addresses", index)} is "${address}"`;
    const earlier = addresses.slice(0, index).find((other) => family(other) === family(address));
    if (earlier !== undefined) {
      return [{ what: `${what}, and "${earlier}" is of the same family`, remedy: "give one of each family at most" }];
    }
    if (podPrefixes === undefined || podPrefixes.some((prefix) => contains(prefix, address))) return [];
    return [{ what: `${what}, which is in none of podPrefixes`, remedy: "give an address that is in one of them" }];
  });
}
