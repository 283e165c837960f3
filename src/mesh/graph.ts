import type { Driver, NodeRecord } from "../registry/node-record.ts";
import { isNoLink } from "./link.ts";
import type { PlanOptions } from "./mesh-plan.ts";
import { compareNames } from "./order.ts";
import { siteOf } from "./sites.ts";
import { MeshView } from "./view.ts";

/** A mesh to look at: what all plans together have. */
export interface MeshGraph {
  /** By site, and within one by name, as people count: `n2` before `n10`. */
  readonly nodes: readonly GraphNode[];
  /** In the order of their first, then of their second nodes. */
  readonly links: readonly GraphLink[];
}

export interface GraphNode {
  readonly name: string;
  /** Empty for the one site without a name. */
  readonly site: string;
  /** Gateways count in a mesh by site alone; of a site's gateways one is active. */
  readonly role: "node" | "gateway" | "active gateway";
}

/** A tunnel; of its two nodes the first is the one that stands first in the graph. */
export interface GraphLink {
  readonly one: string;
  readonly other: string;
  readonly driver: Driver;
}

/** How a tunnel does. */
export interface Measured {
  readonly state: LinkState;
  /** There and back, in milliseconds. */
  readonly latencyMs?: number;
  /** Share of what did not come back, 0 to 1. */
  readonly loss?: number;
}

export type LinkState = "up" | "degraded" | "down" | "unknown";

/** What is known of a tunnel; undefined for nothing. */
export type Measure = (link: GraphLink) => Measured | undefined;

/** For a graph of which nothing is measured. */
export const unmeasured: Measure = () => undefined;

/** All tunnels that the nodes plan, each once. Pure. */
export function meshGraph(records: readonly NodeRecord[], options: Pick<PlanOptions, "topology" | "down">): MeshGraph {
  const view = new MeshView(records, options);
  const nodes = view.nodes.toSorted(
    (one, other) =>
      compareNames(siteOf(one), siteOf(other)) || one.name.localeCompare(other.name, "en", { numeric: true }),
  );
  const links = nodes.flatMap((one, index) =>
    nodes.slice(index + 1).flatMap((other): GraphLink[] => {
      if (!view.meet(one, other)) return [];
      const link = view.link(one, other);
      return isNoLink(link) ? [] : [{ one: one.name, other: other.name, driver: link.driver }];
    }),
  );
  return { nodes: nodes.map((node) => ({ name: node.name, site: siteOf(node), role: roleOf(node, view) })), links };
}

function roleOf(node: NodeRecord, view: MeshView): GraphNode["role"] {
  if (view.topology === "full" || !node.gateway) return "node";
  return view.isActive(node) ? "active gateway" : "gateway";
}
