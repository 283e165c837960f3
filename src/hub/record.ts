import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import { readText, writeAtomic } from "../os/file.ts";
import type { DataPlane } from "../ipsec/strongswan-conf.ts";
import type { Wanted } from "./wanted.ts";
import type { SysctlChange } from "./sysctl.ts";

/**
 * What a hub has changed outside of its charon, on disk before it is changed: who starts the hub again after it was
 * killed knows what to put back. The directory is on /run: a reboot forgets it together with what it tells of.
 */
export interface HubRecord {
  readonly subnets: readonly Prefix[];
  readonly dataPlane: DataPlane;
  /** Addresses of the hub's own that were added to `lo`. */
  readonly addresses: readonly Address[];
  /** In the order in which they were made. */
  readonly sysctls: readonly SysctlChange[];
  /** With what charon was started and which pools it has: neither can change under pods that are online. */
  readonly charon: CharonShape;
}

export interface CharonShape {
  readonly strongswanConf: string;
  readonly pools: Wanted["pools"];
}

/** The record of the hub in `directory`, or undefined when there is none. */
export function readRecord(directory: string): HubRecord | undefined {
  const text = readText(recordFile(directory));
  // Written atomically, by ourselves, into a directory that only root can write: no other form is possible.
  return text === undefined ? undefined : (JSON.parse(text) as HubRecord);
}

/** @throws Fault 5. */
export function writeRecord(directory: string, record: HubRecord): void {
  writeAtomic(recordFile(directory), `${JSON.stringify(record, null, 2)}\n`);
}

/** What is to be put back in the end, when a hub takes over from one that did not end as it should. Pure. */
export function inherit(earlier: HubRecord | undefined, record: HubRecord): HubRecord {
  if (earlier === undefined) return record;
  const fresh = record.sysctls.filter(({ key }) => !earlier.sysctls.some((change) => change.key === key));
  return {
    ...record,
    addresses: [...new Set([...earlier.addresses, ...record.addresses])],
    sysctls: [...earlier.sysctls, ...fresh],
  };
}

function recordFile(directory: string): string {
  return `${directory}/hub.json`;
}
