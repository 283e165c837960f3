import type { NodeRecord } from "../registry/node-record.ts";

/** The nodes that reach each other by their private addresses. */
export interface Site {
  /** Empty for the one site without a name. */
  readonly name: string;
  /** In the order of their names. */
  readonly gateways: readonly NodeRecord[];
  /** The one that nodes that are no gateways are reached by from other sites, and reach these by; none in a site without gateways. */
  readonly active?: NodeRecord;
}

/** Name of a node's site; empty for the one without a name. */
export function siteOf({ site = "" }: NodeRecord): string {
  return site;
}

/** Whether the two are in one site. */
export function sameSite(one: NodeRecord, other: NodeRecord): boolean {
  return siteOf(one) === siteOf(other);
}

/**
 * All sites by their names. The active gateway is the first by name of those that are not in `down`. All nodes choose
 * alike as long as they hold the same ones for dead. Those whose choice matters for the gateways of a site are its own
 * nodes and the gateways of others, and all of them have tunnels to these gateways: each sees for itself, and soon, who
 * is dead. When all are, it is the first one: the prefixes keep an owner, whose tunnel carries nothing. Pure.
 * @param nodes In the order of their names.
 */
export function sitesOf(nodes: readonly NodeRecord[], down: ReadonlySet<string>): ReadonlyMap<string, Site> {
  const gateways = new Map<string, NodeRecord[]>();
  for (const node of nodes) {
    const name = siteOf(node);
    const known = gateways.get(name) ?? [];
    if (node.gateway) known.push(node);
    gateways.set(name, known);
  }
  return new Map([...gateways].map(([name, known]) => [name, site(name, known, down)]));
}

function site(name: string, gateways: readonly NodeRecord[], down: ReadonlySet<string>): Site {
  const active = gateways.find((gateway) => !down.has(gateway.name)) ?? gateways[0];
  return { name, gateways, ...(active !== undefined && { active }) };
}
