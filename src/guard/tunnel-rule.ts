import { Code, Fault } from "../fault.ts";
import { TUNNEL_TABLE } from "../ipsec/strongswan-conf.ts";
import type { Family } from "../net/address.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { PROTOCOL_PODVPN } from "../netlink/routes.ts";
import { ensureNoRule, listRules, type Rule } from "../netlink/rules.ts";

/** The rule that leads to the routes of a tunnel without a charon. Pure. */
export function tunnelRule(family: Family, priority: number): Rule {
  return { family, priority, action: "lookup", table: TUNNEL_TABLE, protocol: PROTOCOL_PODVPN };
}

/** Behind the guard's exclusions and before its refusals (src/guard/plan.ts). */
const PRIORITIES = [220, 219, 218, 217, 216, 215, 214, 213, 212, 211] as const;

/**
 * A priority that no other tunnel of this namespace has for its rule `lookup 220`. Each charon adds the rule when it
 * starts and deletes it when it ends: one that was shared would go with the first, and cut off the others.
 * @throws Fault 4 when the pod has ten tunnels, NetlinkError.
 */
export async function freeRulePriority(pod: Netlink): Promise<number> {
  const taken = (await listRules(pod)).filter(({ table }) => table === TUNNEL_TABLE).map(({ priority }) => priority);
  const free = PRIORITIES.find((priority) => !taken.includes(priority));
  if (free !== undefined) return free;
  throw new Fault(
    Code.invalidEnvironment,
    `the container has ${PRIORITIES.length} tunnels already`,
    "give it fewer networks of types strongswan and wireguard",
  );
}

/** Removes the rule of a tunnel, also what a killed charon left behind; none there is fine. @throws NetlinkError. */
export async function removeTunnelRule(pod: Netlink, priority: number): Promise<void> {
  for (const family of [4, 6] as const) {
    // Protocol 0 matches any: charon sets none.
    await ensureNoRule(pod, { family, priority, action: "lookup", table: TUNNEL_TABLE, protocol: 0 });
  }
}
