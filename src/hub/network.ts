import { applySysctls, restoreSysctls } from "../forwarding/sysctl.ts";
import { applyGuard, removeGuard } from "../guard/apply.ts";
import { type Guard, planGuard } from "../guard/plan.ts";
import type { DataPlane } from "../ipsec/strongswan-conf.ts";
import { type Address, family } from "../net/address.ts";
import { hostPrefix, type Prefix, prefixLength } from "../net/prefix.ts";
import { ensureAddress, ensureNoAddress, type LinkAddress } from "../netlink/addresses.ts";
import { listLinks } from "../netlink/links.ts";
import { openRoute } from "../netlink/open.ts";
import { ensureNoRule, listRules, type Rule } from "../netlink/rules.ts";
import { writeSysctl } from "../os/sysctl.ts";
import type { HubRecord } from "./record.ts";

/** Number of charon's routing table and of its rule's priority: see `charonOptions`. */
export const ROUTING_TABLE = 220;

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
  applySysctls(record.sysctls);
}

/** Takes all of it away, the guard last, and puts settings back as they were. Idempotent. @throws Fault 101 or 102. */
export async function lower(record: HubRecord): Promise<void> {
  restoreSysctls(record.sysctls);
  using nl = openRoute();
  for (const address of record.addresses) await ensureNoAddress(nl, ownAddress(address));
  const rules = (await listRules(nl)).filter(isCharons);
  for (const rule of rules) if (record.routingRules.includes(rule.family)) await ensureNoRule(nl, rule);
  await removeGuard(hubGuard(record.subnets, record.dataPlane));
}

/** The rule that makes the kernel look into charon's own routing table. Pure. */
export function isCharons({ priority, table }: Rule): boolean {
  return priority === ROUTING_TABLE && table === ROUTING_TABLE;
}

/**
 * Keeps user-space ESP from telling pods that another pod is their neighbour: it seems so to the kernel, as packets
 * leave by the TUN device by which they came. Of the two settings for an interface either turns redirects on, and the
 * device is charon's, so this has to be done whenever charon has started; it goes with the device.
 */
export async function stopRedirects(): Promise<void> {
  using nl = openRoute();
  const tunnels = (await listLinks(nl)).map(({ name }) => name).filter((name) => /^ipsec\d+$/.test(name));
  for (const name of tunnels) writeSysctl(`net/ipv4/conf/${name}/send_redirects`, "0");
}

function ownAddress(address: Address): LinkAddress {
  const length = prefixLength(hostPrefix(address));
  // IPv4 on `lo` would get scope "host", with which it is no source for packets that leave.
  return { index: LO, address, prefixLength: length, scope: "universe", flags: family(address) === 6 ? ["nodad"] : [] };
}
