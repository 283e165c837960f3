import { applyGuard, removeGuard } from "../guard/apply.ts";
import { type Guard, planGuard } from "../guard/plan.ts";
import type { DataPlane } from "../ipsec/strongswan-conf.ts";
import { type Address, family } from "../net/address.ts";
import { hostPrefix, type Prefix, prefixLength } from "../net/prefix.ts";
import { ensureAddress, ensureNoAddress, type LinkAddress } from "../netlink/addresses.ts";
import { openRoute } from "../netlink/open.ts";
import type { HubRecord } from "./record.ts";
import { readSysctl, type SysctlChange, writeSysctl } from "./sysctl.ts";

/** The loopback interface's index, in every network namespace. */
export const LO = 1;

/**
 * The hub's guard: a packet to a virtual IP that is not online stays here, with an answer for its sender, and none that
 * comes in plain is taken for a pod's.
 */
export function hubGuard(subnets: readonly Prefix[], dataPlane: DataPlane): Guard {
  return planGuard({ name: "hub", virtualSubnets: subnets, excluded: [], dataPlane, refuse: "unreachable" });
}

/**
 * Puts guard, addresses and settings in place, in this order: nothing is forwarded before the guard stands. Idempotent.
 * @throws Fault 101 or 102.
 */
export async function raise(record: HubRecord): Promise<void> {
  await applyGuard(hubGuard(record.subnets, record.dataPlane));
  using nl = openRoute();
  for (const address of record.addresses) await ensureAddress(nl, ownAddress(address));
  for (const { key, after } of record.sysctls) await writeSysctl(key, after);
}

/** Takes all of it away, the guard last, and puts settings back as they were. Idempotent. @throws Fault 101 or 102. */
export async function lower(record: HubRecord): Promise<void> {
  for (const change of [...record.sysctls].reverse()) await putBack(change);
  using nl = openRoute();
  for (const address of record.addresses) await ensureNoAddress(nl, ownAddress(address));
  await removeGuard(hubGuard(record.subnets, record.dataPlane));
}

/** A setting that somebody else has changed in the meantime, or whose interface is gone, is not ours any more. */
async function putBack({ key, before, after }: SysctlChange): Promise<void> {
  if (readSysctl(key) === after) await writeSysctl(key, before);
}

function ownAddress(address: Address): LinkAddress {
  const length = prefixLength(hostPrefix(address));
  // IPv4 on `lo` would get scope "host", with which it is no source for packets that leave.
  return { index: LO, address, prefixLength: length, scope: "universe", flags: family(address) === 6 ? ["nodad"] : [] };
}
