import { refusalRoute } from "../guard/plan.ts";
import { type Family, family } from "../net/address.ts";
import { contains, type Prefix, prefixLength } from "../net/prefix.ts";
import type { Route } from "../netlink/routes.ts";
import { Table as RoutingTable } from "../netlink/routes.ts";
import type { Rule } from "../netlink/rules.ts";
import {
  type Rule as FilterRule,
  lastWord,
  type Match,
  type PrefixSet,
  type Table,
  type TableKey,
  tableName,
} from "../nftables/table.ts";

/** rtm_protocol of all routes and rules for WireGuard devices: how they are found again, apart from those for pods. */
export const PROTOCOL_MESH = 174;

/** Loses to every other route, also to the refusals of a pod's virtual subnets (4000), which stay theirs. */
export const MESH_REFUSAL_METRIC = 4010;

/** The rule that leads to a routing table of the mesh's own: before charon's (220) and `main` (32766). */
export const MESH_RULE_PRIORITY = 209;

/** Before connection tracking and every other table: priority "raw". */
const RAW = -300;

/**
 * Before whoever else chooses a source address ("srcnat" is 100): the first chain that does decides for the connection.
 * The kernel wants more than -200 (connection tracking).
 */
const BEFORE_SRCNAT = -150;

/** What the node needs around one WireGuard device. */
export interface MeshRequest {
  /** Name of the device. */
  readonly device: string;
  /** Devices that the guarded prefixes may go through as well: the second one of an agent whose key changes. */
  readonly otherDevices?: readonly string[];
  /** What is refused wherever it does not go through the device; no two overlap. */
  readonly guarded: readonly Prefix[];
  /** Of the node's own pods; no two overlap. */
  readonly podSubnets: readonly Prefix[];
  /** Routing table; absent: main. */
  readonly table?: number;
  /** Mark of the encrypted packets, which a table of the mesh's own must not catch; 0 is none. */
  readonly fwmark: number;
  /**
   * An XFRM interface: what has gone into it passes postrouting once more before it is encrypted, as it leaves by the
   * uplink by then (Linux 6.1, xfrmi_xmit).
   */
  readonly isXfrm?: boolean;
}

/**
 * The nft table that keeps the mesh's packets in the device. Pure. Filter: nothing to a guarded prefix leaves by
 * another device, nothing from one is taken in by another, whatever the routes are and also for a socket that is bound
 * to the uplink. Source: packets into the device, and out of it to the node's pods, keep theirs, whatever masquerades: a
 * translation to the very same address, as an `accept` ends nothing but its own chain (docs/facts/netfilter.md).
 */
export function meshTable(
  request: Pick<MeshRequest, "device" | "otherDevices" | "guarded" | "podSubnets" | "isXfrm">,
): Table {
  const { device, otherDevices = [], guarded, podSubnets, isXfrm = false } = request;
  const devices = [device, ...otherDevices];
  const families = ([4, 6] as const).filter((version) => guarded.some((prefix) => family(prefix) === version));
  const drop = (address: "saddr" | "daddr", field: "iifname" | "oifname") =>
    families.map((version): FilterRule => {
      const other = [...devices, "lo"].map((name): Match => ({ device: field, isNot: name }));
      const plain: Match[] = isXfrm && address === "daddr" ? [{ plain: "out" }] : [];
      return { matches: [...other, { address, inSet: SETS[version] }, ...plain], action: "drop" };
    });
  return {
    ...meshTableKey(device),
    sets: [...prefixSets(SETS, guarded), ...prefixSets(POD_SETS, podSubnets)],
    chains: [
      { name: "in", type: "filter", hook: "prerouting", priority: RAW, rules: drop("saddr", "iifname") },
      { name: "out", type: "filter", hook: "postrouting", priority: RAW, rules: drop("daddr", "oifname") },
      {
        name: "source",
        type: "nat",
        hook: "postrouting",
        priority: BEFORE_SRCNAT,
        rules: [
          ...devices.flatMap((name) =>
            families.map((version): FilterRule => {
              const into: Match = { device: "oifname", is: name };
              return { matches: [into, { address: "daddr", inSet: SETS[version] }], action: "keepSource" };
            }),
          ),
          // By address: a postrouting chain knows the device that a packet came by only from Linux 5.7 on.
          ...families
            .filter((version) => podSubnets.some((prefix) => family(prefix) === version))
            .map((version): FilterRule => {
              const from: Match = { address: "saddr", inSet: SETS[version] };
              return { matches: [from, { address: "daddr", inSet: POD_SETS[version] }], action: "keepSource" };
            }),
        ],
      },
    ],
  };
}

/** {@link meshTable} as the device's record has it. Pure. */
export function recordedTable(record: Omit<MeshRequest, "device"> & { readonly interface: string }): Table {
  return meshTable({ ...record, device: record.interface });
}

/** What {@link meshTable} is known by. Pure. */
export function meshTableKey(device: string): TableKey {
  return { family: "inet", name: tableName("mesh", device) };
}

/** The device whose {@link meshTable} is that one; undefined for another. Pure. @param table As `listTables` has it. */
export function meshDeviceOf(table: string): string | undefined {
  const [, name] = /^inet (.+)$/.exec(table) ?? [];
  return name === undefined ? undefined : lastWord(name, "mesh");
}

/**
 * Refusals of the guarded prefixes, where the mesh's routes are and in the main table: with no device there the sender
 * is told, instead of waiting for an answer. And of the node's own pods' subnets in the main table: what comes out of the
 * tunnel for them while there is no bridge (after a boot the peers go on sending) would else leave in plain by the
 * default route. Pure.
 */
export function meshRefusals({
  guarded,
  podSubnets,
  table,
}: Pick<MeshRequest, "guarded" | "podSubnets" | "table">): Route[] {
  const own = table === undefined ? [] : guarded.map((dst) => meshRefusal(dst, table));
  const inMain = new Set([...guarded, ...podSubnets]);
  return [...[...inMain].map((dst) => meshRefusal(dst, RoutingTable.main)), ...own];
}

function meshRefusal(dst: Prefix, table: number): Route {
  return { ...refusalRoute(dst, "unreachable"), table, metric: MESH_REFUSAL_METRIC, protocol: PROTOCOL_MESH };
}

/** The routes through the device, one for each allowed IP. Pure. @param oif Index of the device. */
export function meshRoutes(allowedIPs: readonly Prefix[], oif: number, table: number | undefined): Route[] {
  return allowedIPs.map((dst) => ({
    dst,
    type: "unicast",
    table: table ?? RoutingTable.main,
    scope: family(dst) === 4 ? "link" : "universe",
    oif,
    protocol: PROTOCOL_MESH,
  }));
}

/** The rules that lead to a routing table of the mesh's own; none for the main table. Pure. */
export function meshRules({ guarded, table, fwmark }: Pick<MeshRequest, "guarded" | "table" | "fwmark">): Rule[] {
  if (table === undefined) return [];
  const families = [...new Set(guarded.map((prefix): Family => family(prefix)))];
  return families.map((version) => ({
    family: version,
    priority: MESH_RULE_PRIORITY,
    action: "lookup",
    table,
    protocol: PROTOCOL_MESH,
    ...(fwmark === 0 ? {} : { fwmark, invert: true as const }),
  }));
}

/** The longest of `prefixes` that holds all of `inner`; undefined when none does. Pure. */
export function longestMatch<T extends { readonly dst: Prefix }>(
  routes: readonly T[],
  inner: Parameters<typeof contains>[1],
): T | undefined {
  return routes
    .filter(({ dst }) => contains(dst, inner))
    .reduce<T | undefined>(
      (best, route) => (best === undefined || prefixLength(route.dst) > prefixLength(best.dst) ? route : best),
      undefined,
    );
}

const SETS = { 4: "mesh4", 6: "mesh6" } as const;
const POD_SETS = { 4: "pods4", 6: "pods6" } as const;

/** A set for each family that has prefixes. */
function prefixSets(names: Readonly<Record<Family, string>>, prefixes: readonly Prefix[]): PrefixSet[] {
  return ([4, 6] as const)
    .map((version) => ({
      name: names[version],
      family: version,
      prefixes: prefixes.filter((prefix) => family(prefix) === version),
    }))
    .filter((set) => set.prefixes.length > 0);
}
