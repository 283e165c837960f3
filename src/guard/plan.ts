import { family } from "../net/address.ts";
import { contains, type Prefix } from "../net/prefix.ts";
import { anyPrefix } from "../netlink/family.ts";
import { PROTOCOL_PODVPN, type Route, Table as RoutingTable } from "../netlink/routes.ts";
import type { Rule } from "../netlink/rules.ts";
import type { WantedPolicy } from "../netlink/xfrm.ts";
import { type Rule as FilterRule, type Match, type Table, tableName } from "../nftables/table.ts";

/** What a namespace must never let pass in plain. */
export interface GuardRequest {
  /** Names the filter table: one guard for each attachment of a namespace. */
  readonly name: string;
  readonly virtualSubnets: readonly Prefix[];
  /** Prefixes that stay outside the tunnel; only those inside a virtual subnet make a difference. */
  readonly excluded: readonly Prefix[];
  readonly dataPlane: "kernel" | "userspace";
  /** The tunnel's own device, where it has one: not charon's. */
  readonly device?: string;
  /** A pod drops silently (its clients wait for the tunnel to come back); a hub tells the sender. */
  readonly refuse: "blackhole" | "unreachable";
}

/** The guard as the kernel shall have it. */
export interface Guard {
  readonly rules: readonly Rule[];
  readonly routes: readonly Route[];
  readonly tables: readonly Table[];
  readonly policies: readonly WantedPolicy[];
}

/** Priorities of routing rules: exclusions, then charon's table 220, then the refusal of what it had no route for. */
const EXCLUSION_PRIORITY = 210;
const REFUSAL_PRIORITY = 221;
/** Loses to every route that an operator, another plugin or the kernel makes. */
export const REFUSAL_METRIC = 4000;

/** Loses to every policy that charon installs (it counts down from about 400,000; the lower number wins). */
const BLOCK_PRIORITY = 4_000_000_000;
const EXCLUSION_POLICY_PRIORITY = 3_900_000_000;

/** Interfaces of kernel-libipsec: the only ones by which decrypted packets come and packets to be encrypted go. */
const CHARON_DEVICES = "ipsec*";

/**
 * The fail-closed guard of a namespace: nothing to the virtual subnets leaves in plain, nothing from them is taken in
 * plain. Pure. Three means, for what each cannot do alone:
 * - a routing rule behind charon's table refuses what has no tunnel. It does not depend on what the main table holds,
 *   so `virtualSubnet: 0.0.0.0/0` and stray routes fail closed as well. A route in the main table says the same: for
 *   whoever looks there, such as the CHECK of other plugins, which finds there the routes that a result names.
 * - user space: a filter on everything that is not the tunnel's TUN device; it also stops a socket that is bound to
 *   eth0, for which the kernel ignores a failed route lookup, and plain packets that come in.
 * - kernel ESP: XFRM block policies, as decrypted packets come by eth0 too. 0.0.0.0/0 on one side always: a policy
 *   with the very selector of charon's would be replaced by it and be gone with it (docs/facts/kernel-esp.md). And the
 *   filter as well, on everything that IPsec does not carry: who flushes the policies takes these and charon's away
 *   together, and charon's route stays.
 */
export function planGuard(request: GuardRequest): Guard {
  const { virtualSubnets, refuse } = request;
  const excluded = request.excluded.filter((prefix) => virtualSubnets.some((subnet) => contains(subnet, prefix)));
  const rules: Rule[] = [
    ...unique(excluded).map((dst) => rule(EXCLUSION_PRIORITY, dst, { action: "lookup", table: RoutingTable.main })),
    ...virtualSubnets.map((dst) => rule(REFUSAL_PRIORITY, dst, { action: refuse })),
  ];
  const routes = virtualSubnets.map((dst) => refusalRoute(dst, refuse));
  const policies = request.dataPlane === "kernel" ? blockPolicies(virtualSubnets, excluded) : [];
  return { rules, routes, tables: [filter(request, excluded)], policies };
}

/** The route of the main table that refuses what has no better one: in a pod, on a hub, on a node. Pure. */
export function refusalRoute(dst: Prefix, type: GuardRequest["refuse"]): Route {
  const where = { table: RoutingTable.main, scope: "universe", metric: REFUSAL_METRIC } as const;
  return { dst, type, ...where, protocol: PROTOCOL_PODVPN };
}

function rule(priority: number, dst: Prefix, what: Pick<Rule, "action" | "table">): Rule {
  return { family: family(dst), priority, dst, protocol: PROTOCOL_PODVPN, ...what };
}

function filter(request: GuardRequest, excluded: readonly Prefix[]): Table {
  const { name, virtualSubnets, dataPlane, device: tunnel = CHARON_DEVICES } = request;
  const drop = (address: "saddr" | "daddr", device: "iifname" | "oifname") => {
    const outside: Match =
      dataPlane === "kernel" ? { plain: address === "saddr" ? "in" : "out" } : { device, isNot: tunnel };
    return virtualSubnets.map((subnet): FilterRule => {
      const exceptions = excluded.filter((prefix) => contains(subnet, prefix));
      return {
        matches: [{ device, isNot: "lo" }, outside, { address, in: subnet }, { address, notIn: unique(exceptions) }],
        action: "drop",
      };
    });
  };
  return {
    family: "inet",
    name: tableName(name),
    chains: [
      // Before connection tracking and every other table: priority "raw".
      { name: "in", type: "filter", hook: "prerouting", priority: -300, rules: drop("saddr", "iifname") },
      { name: "out", type: "filter", hook: "postrouting", priority: -300, rules: drop("daddr", "oifname") },
    ],
  };
}

function blockPolicies(virtualSubnets: readonly Prefix[], excluded: readonly Prefix[]): WantedPolicy[] {
  const both = (prefixes: readonly Prefix[], action: "allow" | "block", priority: number) =>
    prefixes.flatMap((prefix): WantedPolicy[] => {
      const any = anyPrefix(family(prefix));
      return [
        { direction: "in", src: prefix, dst: any, action, priority },
        { direction: "fwd", src: prefix, dst: any, action, priority },
        { direction: "out", src: any, dst: prefix, action, priority },
      ];
    });
  return [
    ...both(unique(excluded), "allow", EXCLUSION_POLICY_PRIORITY),
    ...both(virtualSubnets, "block", BLOCK_PRIORITY),
  ];
}

function unique<T>(items: readonly T[]): T[] {
  return [...new Set(items)];
}
