import type { Section } from "vici";
import type { Address } from "../net/address.ts";
import { family } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";

/** Name of the connection in a pod's own charon, and of the child in every connection of a pod. */
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
  /** The XFRM interface that its policies and security associations are for. */
  readonly ifId?: number;
  /**
   * Whether the hub may still have a tunnel of a charon that died. Then it is not told to drop that (INITIAL_CONTACT):
   * what it sends by it until the new one is up arrives, as the kernel still has the old security associations.
   */
  readonly again?: boolean;
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
    dpd_delay: `${spread(connection.dpdDelay, connection.identity)}s`,
    keyingtries: "0",
    unique: connection.again === true ? "never" : "replace",
    rekey_time: "4h",
    ...(connection.ifId === undefined ? {} : { if_id_in: String(connection.ifId), if_id_out: String(connection.ifId) }),
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

/**
 * Seconds, up to a quarter less: pods that heard their hub last at the same moment do not all ask at once. A pod always
 * gets the same. With less than 4 s the retransmissions alone spread them (`retransmit_jitter`). Pure.
 */
export function spread(seconds: number, identity: string): number {
  let hash = 0x811c9dc5; // FNV-1a: node:crypto would cost a plugin's start a millisecond
  for (const character of identity) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return seconds - Math.floor((hash / 2 ** 32) * (Math.floor(seconds / 4) + 1));
}
