import { createHash } from "node:crypto";
import type { Section } from "vici";
import type { HubConfig } from "../config/hub.ts";
import type { HubSubnet } from "../config/hub-pool.ts";
import { Secret } from "../secret.ts";

/** What the hub's charon shall have loaded over VICI. */
export interface Wanted {
  readonly pools: readonly { readonly name: string; readonly addrs: string }[];
  readonly shared: readonly { readonly id: string; readonly psk: Secret; readonly owners: readonly string[] }[];
  readonly connections: readonly { readonly name: string; readonly section: Section }[];
}

/** Name of the child of every connection. */
const CHILD = "net";

/**
 * Pools, keys and connections of a configuration. Pure.
 * With one key for all, one connection takes any identity that proves it.
 * With a key for each identity there is a connection for each, so that an unknown identity is refused before any key is
 * looked at, and a key's one owner is its identity. The hub's own is never an owner: charon (5.9.8) takes a key when
 * either side's identity owns it and tries all that fit, so that each pod that names the hub could then prove any
 * identity.
 */
export function wantedOf(config: HubConfig): Wanted {
  const pools = config.subnets.map(poolOf);
  const names = pools.map(({ name }) => name);
  if (config.psks instanceof Secret) {
    return {
      pools,
      shared: [{ id: "pods", psk: config.psks, owners: [] }],
      connections: [{ name: "pods", section: connection(config, names) }],
    };
  }
  return {
    pools,
    shared: config.psks.map(({ identity, psk }) => ({ id: nameOf(identity), psk, owners: [identity] })),
    connections: config.psks.map(({ identity }) => ({
      name: nameOf(identity),
      section: connection(config, names, identity),
    })),
  };
}

/** Two pools of one family are used up one after the other. */
function poolOf({ subnet, pool }: HubSubnet): { name: string; addrs: string } {
  return { name: legal(subnet), addrs: `${pool.first}-${pool.last}` };
}

/** swanctl.conf(5), `connections`; without `remote.id` for any identity. */
function connection(config: HubConfig, pools: readonly string[], identity?: string): Section {
  return {
    version: "2",
    ...(config.listen.length === 0 ? {} : { local_addrs: [...config.listen] }),
    proposals: [...config.proposals],
    pools: [...pools],
    // A pod that comes back takes over from what it left, with the same address.
    unique: "replace",
    mobike: "no",
    dpd_delay: `${config.dpd}s`,
    rekey_time: "4h",
    local: { auth: "psk", id: config.identity },
    remote: { auth: "psk", ...(identity === undefined ? {} : { id: identity }) },
    children: {
      [CHILD]: {
        // The whole of them: pods reach each other through the hub. Each child narrows its other side to the pod's own.
        local_ts: config.subnets.map(({ subnet }) => subnet),
        esp_proposals: [...config.espProposals],
        // A changed connection with a start action would end its SAs when it is loaded again.
        start_action: "none",
        dpd_action: "clear",
        rekey_time: "1h",
      },
    },
  };
}

/** For charon's log readable, and different for different identities: names are sections, of at most 255 bytes. */
function nameOf(identity: string): string {
  const hash = createHash("sha256").update(identity).digest("hex").slice(0, 12);
  return `${legal(identity).slice(0, 80)}-${hash}`;
}

function legal(text: string): string {
  return text.replaceAll(/[^\w.-]/g, "_");
}
