import type { Section } from "vici";
import type { Address } from "../net/address.ts";
import { family } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";

/** Name of the connection and of its child in a pod's own charon. */
export const POD_CONNECTION = "pod";
export const POD_CHILD = "net";

/** What a pod's connection to its hub is made of. */
export interface PodConnection {
  readonly server: Address;
  /** The identity that the hub must prove; undefined accepts any that proves the PSK. */
  readonly serverID?: string;
  readonly identity: string;
  readonly virtualSubnets: readonly Prefix[];
  readonly proposals: readonly string[];
  readonly espProposals: readonly string[];
  /** Seconds without traffic before the hub is asked for a sign of life; 0 never asks. */
  readonly dpdDelay: number;
  /** Force ESP in UDP: needed by user-space ESP, and wherever raw ESP does not pass. */
  readonly encap: boolean;
}

/**
 * The VICI section of a pod's connection (swanctl.conf(5), `connections`). Pure.
 * `keyingtries = 0`: with one try a hub that was stopped for longer than that is never joined again.
 * MOBIKE is off: a pod's address does not change.
 */
export function podConnection(connection: PodConnection): Section {
  const families = new Set(connection.virtualSubnets.map(family));
  return {
    version: "2",
    remote_addrs: [connection.server],
    proposals: [...connection.proposals],
    vips: [...(families.has(4) ? ["0.0.0.0"] : []), ...(families.has(6) ? ["::"] : [])],
    mobike: "no",
    encap: connection.encap ? "yes" : "no",
    dpd_delay: `${connection.dpdDelay}s`,
    keyingtries: "0",
    unique: "replace",
    rekey_time: "4h",
    local: { auth: "psk", id: connection.identity },
    remote: { auth: "psk", ...(connection.serverID === undefined ? {} : { id: connection.serverID }) },
    children: {
      [POD_CHILD]: {
        remote_ts: [...connection.virtualSubnets],
        esp_proposals: [...connection.espProposals],
        start_action: "none",
        dpd_action: "restart",
        close_action: "start",
        rekey_time: "1h",
      },
    },
  };
}
