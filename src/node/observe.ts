import type { Prefix } from "../net/prefix.ts";
import type { LinkAddress } from "../netlink/addresses.ts";
import type { Link } from "../netlink/links.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { PROTOCOL_PODVPN, type Route, Table } from "../netlink/routes.ts";
import { listRules, type Rule } from "../netlink/rules.ts";
import { listGuards } from "./guards.ts";
import { MESH_REFUSAL_METRIC, meshRefusals, meshRules, PROTOCOL_MESH } from "./plan.ts";
import { readUnderlay, type Underlay } from "./underlay.ts";

/** What the node has now. */
export interface Observed extends Underlay {
  readonly rules: readonly Rule[];
}

/** Reads it, side by side. @throws NetlinkError. */
export async function observeNode(nl: Netlink): Promise<Observed> {
  const [underlay, rules] = await Promise.all([readUnderlay(nl), listRules(nl)]);
  return { ...underlay, rules };
}

/** The link of that name. */
export function linkOf(underlay: Underlay, device: string): Link | undefined {
  return underlay.links.find(({ name }) => name === device);
}

/** The routes of the mesh that nobody but the device `device` needs: through it, or refusals that no other asks for. */
export function ownRoutes(underlay: Underlay, device: string): Route[] {
  const index = linkOf(underlay, device)?.index;
  const others = listGuards().filter((record) => record.interface !== device);
  const needed = new Set(others.flatMap((record) => meshRefusals(record)).map(refusalKey));
  return underlay.routes.filter((route) => {
    if (route.protocol !== PROTOCOL_MESH) return false;
    if (route.type === "unicast") return route.oif === index;
    return route.metric === MESH_REFUSAL_METRIC && !needed.has(refusalKey(route));
  });
}

/**
 * Routes of the main table that somebody else has made, by which packets for a mesh prefix would leave elsewhere. Those
 * of the kernel itself are of subnets on links.
 */
export function foreignRoutes(underlay: Underlay, device: string): { readonly dst: Prefix; readonly text: string }[] {
  const index = linkOf(underlay, device)?.index;
  const names = new Map(underlay.links.map((link) => [link.index, link.name]));
  return underlay.routes
    .filter(({ table, type, protocol, oif }) => {
      if (table !== Table.main || type !== "unicast" || oif === index) return false;
      return protocol !== PROTOCOL_MESH && protocol !== PROTOCOL_PODVPN && protocol !== PROTOCOL_KERNEL;
    })
    .map(({ dst, gateway, oif }) => {
      const via = gateway === undefined ? "" : ` via ${gateway}`;
      return { dst, text: `${dst}${via} dev ${(oif !== undefined && names.get(oif)) || "none"}` };
    });
}

/** Whether two are the same address with the same on-link prefix. Pure. */
export function sameAddress(one: LinkAddress, other: LinkAddress): boolean {
  return one.address === other.address && one.prefixLength === other.prefixLength;
}

/** The rules of the mesh that no other device than `device` needs. */
export function ownRules(observed: Observed, device: string): Rule[] {
  const others = listGuards().filter((record) => record.interface !== device);
  const needed = others.flatMap((record) => meshRules(record));
  return observed.rules.filter(
    (rule) => rule.protocol === PROTOCOL_MESH && !needed.some((other) => sameRule(rule, other)),
  );
}

/** Whether two rules of the mesh are the same. Pure. */
export function sameRule(one: Rule, other: Rule): boolean {
  return (
    one.family === other.family &&
    one.priority === other.priority &&
    one.table === other.table &&
    one.fwmark === other.fwmark &&
    one.invert === other.invert
  );
}

/** rtm_protocol of routes for the subnets on links. */
const PROTOCOL_KERNEL = 2;

function refusalKey({ dst, table }: Route): string {
  return `${dst} ${table}`;
}
