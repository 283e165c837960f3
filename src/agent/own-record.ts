import type { AgentConfig } from "../config/agent.ts";
import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import type { NodeRecord } from "../registry/node-record.ts";
import { firstAddresses } from "../registry/parse-record.ts";
import type { PublicKey } from "../wireguard/key.ts";
import { isPublic } from "./underlay.ts";

/** Public keys of this node; one that is not there is of a driver that the node does not have. */
export interface OwnKeys {
  readonly wireguard?: PublicKey;
  readonly nextWireguard?: PublicKey;
  /** Also absent where IPsec authenticates by PSK or certificate. */
  readonly ipsec?: string;
  readonly nextIpsec?: string;
}

/** What was found out about this node. */
export interface OwnFacts {
  readonly keys: OwnKeys;
  /** Of the interface with the default route. */
  readonly underlay: readonly Address[];
  readonly podPrefixes: readonly Prefix[];
  /** When they were taken; see {@link NodeRecord.since}. */
  readonly since?: number;
}

/** What this node tells all others of itself; `generation` is the registry's. Pure. */
export function ownRecord(config: AgentConfig, { keys, underlay, podPrefixes, since }: OwnFacts): NodeRecord {
  const { name, drivers, site, gateway, keepalive, mtu, labels } = config;
  const found = config.underlay.private ?? underlay;
  const publics = [
    ...config.underlay.public,
    ...(config.underlay.private === undefined ? underlay.filter(isPublic) : []),
  ];
  return {
    name,
    generation: 0,
    underlay: { private: found, public: [...new Set(publics)] },
    podPrefixes,
    ...(since === undefined ? {} : { since }),
    addresses: firstAddresses(podPrefixes),
    drivers,
    ...(drivers.includes("wireguard") &&
      keys.wireguard !== undefined && {
        wireguard: {
          publicKey: keys.wireguard,
          port: config.wireguard.port,
          ...(keys.nextWireguard && { nextPublicKey: keys.nextWireguard }),
        },
      }),
    ...(drivers.includes("ipsec") && {
      ipsec: {
        identity: config.ipsec.identity,
        ...(keys.ipsec && { publicKey: keys.ipsec }),
        ...(keys.nextIpsec && { nextPublicKey: keys.nextIpsec }),
      },
    }),
    ...(site === undefined ? {} : { site }),
    gateway,
    keepalive,
    ...(mtu === undefined ? {} : { mtu }),
    labels,
  };
}

/** Whether a record has a key that is, or is to be, this node's: nobody else can have made it. Pure. @param known Public ones. */
export function hasKeyOf({ wireguard, ipsec }: NodeRecord, known: ReadonlySet<string>): boolean {
  const keys = [wireguard?.publicKey, wireguard?.nextPublicKey, ipsec?.publicKey, ipsec?.nextPublicKey];
  const given = keys.filter((key) => key !== undefined);
  // With a PSK or certificates there is no key to tell by.
  return given.length === 0 || given.some((key) => known.has(key));
}
