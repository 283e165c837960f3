import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import type { Driver, IpsecIdentity, WireguardIdentity } from "../registry/node-record.ts";

/** Which nodes have a tunnel to each other. */
export type Topology = "full" | "site";

/** What a plan depends on besides the nodes. */
export interface PlanOptions {
  readonly topology: Topology;
  /** Nodes that this one holds for dead: a gateway that is dead is passed by, if its site has another. */
  readonly down: ReadonlySet<string>;
  /**
   * All that pods may ever have, of nodes that are not there yet and of those that have just left: guarded as well, so
   * that a packet to a node that is gone does not leave in plain.
   */
  readonly network?: readonly Prefix[];
}

/** Where a peer may be reached; in the order in which to try them. */
export interface Candidate {
  readonly host: Address | string;
  readonly scope: "private" | "public";
}

/** A node that this one has a tunnel to. */
export interface PlannedPeer {
  readonly name: string;
  readonly driver: Driver;
  readonly candidates: readonly Candidate[];
  /** What goes to this peer and is accepted from it: its own pods', and those of nodes that are behind it. Sorted. */
  readonly prefixes: readonly Prefix[];
  /**
   * What the peer accepts from here: this node's own pods', and those of nodes that are behind it. IPsec's local traffic
   * selectors, as `prefixes` are the remote ones. The peer's `prefixes` for this node, if both see the same. Sorted.
   */
  readonly localPrefixes: readonly Prefix[];
  /** Its own addresses in the mesh. */
  readonly probes: readonly Address[];
  /** Of the two this one starts (IKE): exactly one of both does. */
  readonly initiates: boolean;
  /** In seconds, 0 for never. */
  readonly keepalive: number;
  /** Of the underlay as the peer knows it, or a node on the way to those behind it; the smallest, in bytes. */
  readonly mtu?: number;
  /** With driver "wireguard". */
  readonly wireguard?: WireguardIdentity;
  /** With driver "ipsec". */
  readonly ipsec?: IpsecIdentity;
}

/** A node that no tunnel is possible to, and why. */
export interface Unreachable {
  readonly name: string;
  readonly reason: string;
}

/** What this node should have. */
export interface MeshPlan {
  readonly name: string;
  /** In the order of their names. No prefix is in two of them. */
  readonly peers: readonly PlannedPeer[];
  /**
   * What must leave this node, and be taken in, through a tunnel alone: all others' pod prefixes, reachable or not, and
   * the network; without this node's own. Aggregated: no two overlap. Sorted.
   */
  readonly guarded: readonly Prefix[];
  /** This node's own. Sorted. */
  readonly podPrefixes: readonly Prefix[];
  /** Whether others' packets go through this node: it is a gateway, active or not. */
  readonly forwards: boolean;
  /** In the order of their names. */
  readonly unreachable: readonly Unreachable[];
}
