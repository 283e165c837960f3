import type { NodeRecord } from "../registry/node-record.ts";
import { isNoLink, type Link, linkBetween, type NoLink } from "./link.ts";
import type { PlanOptions, Topology } from "./mesh-plan.ts";
import { byName } from "./order.ts";
import { type Site, sameSite, siteOf, sitesOf } from "./sites.ts";

/** How one node reaches another. */
export interface Way {
  /** The first of the hops, and the tunnel to it. */
  readonly by: NodeRecord;
  readonly link: Link;
  /** All nodes on the way, the last one included, without the first. */
  readonly hops: Hops;
}

type Hops = readonly [...NodeRecord[], NodeRecord];

/** By the records of both: many ways have a link in common, and the next plan has most of this one's records. */
const links = new WeakMap<NodeRecord, WeakMap<NodeRecord, Link | NoLink>>();

/** The whole mesh as one node sees it: which tunnels there are, and by which of them one node reaches another. */
export class MeshView {
  /** In the order of their names. */
  readonly nodes: readonly NodeRecord[];
  readonly topology: Topology;
  readonly #sites: ReadonlyMap<string, Site>;

  constructor(nodes: readonly NodeRecord[], { topology, down }: Pick<PlanOptions, "topology" | "down">) {
    this.nodes = nodes.toSorted(byName);
    this.topology = topology;
    this.#sites = sitesOf(this.nodes, down);
  }

  /** Whether the two are to have a tunnel: always in a full mesh; by site within one, and between gateways. */
  meet(one: NodeRecord, other: NodeRecord): boolean {
    return this.topology === "full" || sameSite(one, other) || (one.gateway && other.gateway);
  }

  /** The tunnel from `own` to `peer`, whether or not they are to {@link meet}. */
  link(own: NodeRecord, peer: NodeRecord): Link | NoLink {
    const known = links.get(own) ?? new WeakMap<NodeRecord, Link | NoLink>();
    links.set(own, known);
    const link = known.get(peer) ?? linkBetween(own, peer);
    known.set(peer, link);
    return link;
  }

  /** The gateway that stands for its site's other nodes; undefined for a site without one. */
  activeGateway(node: NodeRecord): NodeRecord | undefined {
    return this.#sites.get(siteOf(node))?.active;
  }

  /** Whether this node stands for others: of the gateways of its site the one that is in use. */
  isActive(node: NodeRecord): boolean {
    return this.topology === "site" && this.activeGateway(node)?.name === node.name;
  }

  /**
   * The nodes that a packet from `from` to `to` goes by; or why there is no way.
   *
   * Two nodes that {@link meet} need nobody else. Otherwise the packet goes up to the active gateway of `from`'s site,
   * unless `from` is a gateway itself, across to the active gateway of `to`'s site, unless `to` is one, and down to `to`:
   *
   *     plain → active gateway → active gateway → plain
   *     plain → active gateway → any gateway            any gateway → active gateway → plain
   *     any gateway → any gateway
   *
   * Read backwards each of these is one of them again, by the same nodes: an answer comes back the way that the question
   * went, and each hop may accept, from the hop before, exactly what it would send there. This is what WireGuard's
   * cryptokey routing wants (one prefix is one peer's, to send and to accept), and IPsec's traffic selectors as well.
   * A gateway that is not active forwards nothing for others, so nobody may send through it, and its site's gateways
   * never forward to each other: three tunnels at most and no loop, even between nodes that see different gateways dead.
   * (Then a hop may refuse what the hop before sent: the way is broken until both see the same, but never plain.)
   */
  way(from: NodeRecord, to: NodeRecord): Way | NoLink {
    const hops = this.#hops(from, to);
    if (isNoLink(hops)) return hops;
    const [by] = hops;
    const link = this.link(from, by);
    if (hops.length === 1) return isNoLink(link) ? link : { by, link, hops };
    const broken = isNoLink(link) ? link : this.#brokenOf(hops);
    if (isNoLink(link) || broken !== undefined) {
      return { reason: `no way by ${[from, ...hops].map(({ name }) => name).join(" - ")}: ${broken?.reason}` };
    }
    return { by, link, hops };
  }

  #brokenOf([first, ...hops]: Hops): NoLink | undefined {
    let last = first;
    for (const hop of hops) {
      const link = this.link(last, hop);
      if (isNoLink(link)) return link;
      last = hop;
    }
    return undefined;
  }

  #hops(from: NodeRecord, to: NodeRecord): Hops | NoLink {
    if (this.meet(from, to)) return [to];
    const up = from.gateway ? from : this.activeGateway(from);
    const down = to.gateway ? to : this.activeGateway(to);
    if (up === undefined) return noGateway(from);
    if (down === undefined) return noGateway(to);
    return [...(up === from ? [] : [up]), ...(down === to ? [] : [down]), to];
  }
}

function noGateway(node: NodeRecord): NoLink {
  const site = siteOf(node) === "" ? "the site without a name" : `site "${siteOf(node)}"`;
  return { reason: `${site} has no gateway; set "gateway: true" on one of its nodes, better on two` };
}
