import { mergedSysctls, type SysctlChange } from "../forwarding/sysctl.ts";
import type { DataPlane } from "../ipsec/strongswan-conf.ts";
import type { Address, Family } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import { readLink, readText, writeAtomic } from "../os/file.ts";

/**
 * What a hub has changed outside of its charon, on disk before it is changed: who starts the hub again after it was
 * killed knows what to put back. The directory is on /run: a reboot forgets it together with what it tells of.
 */
export interface HubRecord {
  /** The network namespace in which all of this is, as /proc names it. */
  readonly netns: string;
  readonly subnets: readonly Prefix[];
  readonly dataPlane: DataPlane;
  /** Addresses of the hub's own that were added to `lo`. */
  readonly addresses: readonly Address[];
  /**
   * Families that had no routing rule for charon's table before: charon adds it, and leaves it behind when it is killed.
   */
  readonly routingRules: readonly Family[];
  /** In the order in which they were made. */
  readonly sysctls: readonly SysctlChange[];
  /** With what charon was started and from where pods have their addresses: neither can change under pods that are online. */
  readonly charon: CharonShape;
  /** The file with the virtual IPs: for `podvpn hub leases`. */
  readonly leases: string;
}

/** What cannot be changed while pods are online. */
export type HubShape = Pick<HubRecord, "subnets" | "dataPlane" | "charon">;

export interface CharonShape {
  readonly strongswanConf: string;
  readonly ranges: readonly string[];
}

/**
 * The record of the hub in `directory`, or undefined when there is none for this network namespace: what was changed in
 * another one cannot be put back here.
 */
export function readRecord(directory: string): HubRecord | undefined {
  const text = readText(recordFile(directory));
  // Written atomically, by ourselves, into a directory that only root can write: no other form is possible.
  const record = text === undefined ? undefined : (JSON.parse(text) as HubRecord);
  return record?.netns === ownNetns() ? record : undefined;
}

/** The file with the virtual IPs of the hub in `directory`; undefined when there is none. */
export function leaseFileOf(directory: string): string | undefined {
  const text = readText(recordFile(directory));
  return text === undefined ? undefined : (JSON.parse(text) as HubRecord).leases; // see readRecord
}

/** The network namespace of this process, as /proc names it: `net:[4026531840]`. */
export function ownNetns(): string {
  return readLink("/proc/self/ns/net") ?? "";
}

/** @throws Fault 5. */
export function writeRecord(directory: string, record: HubRecord): void {
  writeAtomic(recordFile(directory), `${JSON.stringify(record, null, 2)}\n`);
}

/** How a hub takes over what an earlier one with the same directory left behind. */
export type Takeover =
  /** Nothing is there. */
  | "none"
  /** All of it fits: charon goes on, no pod notices. */
  | "adopt"
  /** Guard, addresses and settings stay; charon starts anew, and pods come back by themselves. */
  | "restart"
  /** All of it is taken down first. */
  | "replace";

/** Decides by what cannot be changed while pods are online. Pure. */
export function takeover(earlier: HubRecord | undefined, wanted: HubShape): Takeover {
  if (earlier === undefined) return "none";
  const same = (of: (shape: HubShape) => unknown) => JSON.stringify(of(earlier)) === JSON.stringify(of(wanted));
  if (!same(({ subnets, dataPlane }) => [subnets, dataPlane])) return "replace";
  return same(({ charon }) => charon) ? "adopt" : "restart";
}

/** The record of a hub that takes over: what the earlier one changed is to be put back to what was before that. Pure. */
export function inherit(earlier: HubRecord | undefined, record: HubRecord): HubRecord {
  if (earlier === undefined) return record;
  return {
    ...record,
    addresses: [...new Set([...earlier.addresses, ...record.addresses])],
    routingRules: earlier.routingRules,
    sysctls: mergedSysctls(earlier.sysctls, record.sysctls),
  };
}

function recordFile(directory: string): string {
  return `${directory}/hub.json`;
}
