import { anyPrefix } from "../netlink/family.ts";
import { openRoute, openXfrm } from "../netlink/open.ts";
import { ensureNoRoute, ensureRoute, isRoute, listRoutes } from "../netlink/routes.ts";
import { ensureNoRule, ensureRule, listRules } from "../netlink/rules.ts";
import { ensureNoPolicy, ensurePolicy, listPolicies } from "../netlink/xfrm.ts";
import { ensureTable, removeTables } from "../nftables/apply.ts";
import { missingOfTable } from "../nftables/missing.ts";
import { inNetns, type Netns } from "../os/namespace.ts";
import { together } from "../together.ts";
import type { Guard } from "./plan.ts";

/**
 * Puts a guard in place, in `netns` or here. Idempotent.
 * @throws NetlinkError for what the kernel refuses.
 */
export async function applyGuard(guard: Guard, netns?: Netns): Promise<void> {
  await together(
    withSocket(openRoute, netns, guard.rules.length, async (nl) => {
      // The kernel takes them in this order, whenever we read its answers.
      await together(
        ...guard.rules.map((rule) => ensureRule(nl, rule)),
        ...guard.routes.map((route) => ensureRoute(nl, route)),
      );
    }),
    withSocket(openXfrm, netns, guard.policies.length, async (nl) => {
      for (const policy of guard.policies) await ensurePolicy(nl, policy);
    }),
    ...guard.tables.map((table) => ensureTable(table, netns)),
  );
}

/**
 * Takes a guard away, as much of it as can be; what is not there is fine.
 * @throws NetlinkError for the rest.
 */
export async function removeGuard(guard: Guard, netns?: Netns): Promise<void> {
  await together(
    removeTables(guard.tables, netns),
    withSocket(openXfrm, netns, guard.policies.length, async (nl) => {
      for (const policy of guard.policies) await ensureNoPolicy(nl, policy);
    }),
    withSocket(openRoute, netns, guard.rules.length, async (nl) => {
      for (const route of guard.routes) await ensureNoRoute(nl, route);
      for (const rule of guard.rules) await ensureNoRule(nl, rule);
    }),
  );
}

/** What of a guard is missing, in words; empty when it is whole. @throws NetlinkError. */
export async function missingOfGuard(guard: Guard, netns?: Netns): Promise<string[]> {
  const missing: string[] = [];
  await withSocket(openRoute, netns, guard.rules.length, async (nl) => {
    const rules = await listRules(nl);
    for (const { family, priority, dst, action } of guard.rules) {
      const found = rules.some(
        (rule) =>
          // The kernel does not keep a selector that matches everything.
          rule.priority === priority && rule.action === action && (rule.dst ?? anyPrefix(rule.family)) === dst,
      );
      if (!found) missing.push(`routing rule ${priority} to ${dst} ${action} (IPv${family})`);
    }
    const routes = await listRoutes(nl, {});
    for (const wanted of guard.routes) {
      if (!routes.some((route) => isRoute(route, wanted))) missing.push(`${wanted.type} route to ${wanted.dst}`);
    }
  });
  await withSocket(openXfrm, netns, guard.policies.length, async (nl) => {
    const policies = await listPolicies(nl);
    for (const { direction, src, dst, action } of guard.policies) {
      const found = policies.some(
        (policy) =>
          policy.direction === direction && policy.src === src && policy.dst === dst && policy.action === action,
      );
      if (!found) missing.push(`XFRM policy dir ${direction} from ${src} to ${dst} ${action}`);
    }
  });
  for (const table of guard.tables) missing.push(...(await missingOfTable(table, netns)));
  return missing;
}

async function withSocket(
  open: typeof openRoute,
  netns: Netns | undefined,
  entries: number,
  use: (nl: ReturnType<typeof openRoute>) => Promise<void>,
): Promise<void> {
  if (entries === 0) return;
  using nl = netns === undefined ? open() : inNetns(netns, open);
  await use(nl);
}
