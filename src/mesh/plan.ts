import { Code, Fault } from "../fault.ts";
import type { Prefix } from "../net/prefix.ts";
import { subtract } from "../net/subtract.ts";
import type { NodeRecord } from "../registry/node-record.ts";
import { isNoLink, type Link } from "./link.ts";
import type { MeshPlan, PlannedPeer, PlanOptions, Unreachable } from "./mesh-plan.ts";
import { PodPrefixes } from "./pod-prefixes.ts";
import { sameSite } from "./sites.ts";
import { MeshView } from "./view.ts";

/**
 * What the node `me` should have, in a mesh of these nodes. Pure: it does not depend on the order of the nodes, and all
 * nodes that plan from the same records and hold the same ones for dead come to plans that fit (see {@link MeshView.way}).
 * @param nodes As a registry has them: no two have the same name, or a part of the same prefix. `me` is one of them.
 * @throws Fault 11 when `me` is not.
 */
export function plan(nodes: readonly NodeRecord[], me: string, options: PlanOptions): MeshPlan {
  const view = new MeshView(nodes, options);
  const own = ownRecord(view.nodes, me);
  const others = view.nodes.filter((node) => node !== own);
  const pods = new PodPrefixes(view.nodes);
  const { shares, unreachable } = sharesOf(view, own, others);
  const carried = pods.by((node) => shares.get(node));
  const local = localPrefixes(view, own, others, pods);
  return {
    name: own.name,
    peers: others.flatMap((node) => {
      const share = shares.get(node);
      if (share?.by !== node) return []; // behind another, or not to be reached
      return [plannedPeer(own, node, share, carried.get(share) ?? [], local(node))];
    }),
    guarded: subtract([...pods.whole((node) => node !== own), ...(options.network ?? [])], own.podPrefixes),
    podPrefixes: pods.of((node) => node === own),
    forwards: options.topology === "site" && own.gateway,
    unreachable,
  };
}

function ownRecord(nodes: readonly NodeRecord[], me: string): NodeRecord {
  const own = nodes.find(({ name }) => name === me);
  if (own !== undefined) return own;
  throw new Fault(
    Code.tryAgainLater,
    `the registry has no record of this node, "${me}"`,
    "let its agent publish one, and look at what the registry refuses if it has",
  );
}

/** What one tunnel leads to. */
interface Share {
  /** The peer, which is the first hop towards all that have this share. */
  readonly by: NodeRecord;
  readonly link: Link;
  /** In bytes; infinite where nobody tells. */
  mtu: number;
}

/** Each node that can be reached has the share of the first hop towards it: no prefix is in two. */
function sharesOf(view: MeshView, own: NodeRecord, others: readonly NodeRecord[]) {
  const shares = new Map<NodeRecord, Share>();
  const byPeer = new Map<NodeRecord, Share>();
  const unreachable: Unreachable[] = [];
  for (const node of others) {
    const way = view.way(own, node);
    if (isNoLink(way)) {
      unreachable.push({ name: node.name, reason: way.reason });
      continue;
    }
    const { by, link, hops } = way;
    const share = byPeer.get(by) ?? { by, link, mtu: Number.POSITIVE_INFINITY };
    byPeer.set(by, share);
    shares.set(node, share);
    share.mtu = Math.min(share.mtu, ...hops.map(({ mtu = Number.POSITIVE_INFINITY }) => mtu));
  }
  return { shares, unreachable };
}

/**
 * What each peer accepts from here. Only the active gateway has more than its own: towards its site's other nodes all of
 * the other sites, and towards these all of its site's nodes that are no gateways. Lists are shared by the peers: with
 * a thousand nodes one for each would be a million entries.
 */
function localPrefixes(
  view: MeshView,
  own: NodeRecord,
  others: readonly NodeRecord[],
  pods: PodPrefixes,
): (peer: NodeRecord) => readonly Prefix[] {
  const alone = pods.of((node) => node === own);
  if (!view.isActive(own)) return () => alone;
  const reached = new Set(others.filter((node) => !isNoLink(view.way(own, node))));
  const withMine = (counts: (node: NodeRecord) => boolean) =>
    pods.of((node) => node === own || (reached.has(node) && counts(node)));
  const toSite = withMine((node) => !sameSite(node, own));
  const toOthers = withMine((node) => sameSite(node, own) && !node.gateway);
  return (peer) => {
    if (!sameSite(peer, own)) return toOthers;
    return peer.gateway ? alone : toSite;
  };
}

/** In seconds: what NATs are known to remember, as wg(8) recommends it. */
const HOLD_OPEN = 25;

function plannedPeer(
  own: NodeRecord,
  node: NodeRecord,
  { link, mtu }: Share,
  prefixes: readonly Prefix[],
  local: readonly Prefix[],
): PlannedPeer {
  const { driver, candidates, initiates, holdsOpen } = link;
  return {
    name: node.name,
    driver,
    candidates,
    prefixes,
    localPrefixes: local,
    probes: node.addresses,
    initiates,
    keepalive: own.keepalive === 0 && holdsOpen ? HOLD_OPEN : own.keepalive,
    ...(Number.isFinite(mtu) && { mtu }),
    ...(driver === "wireguard" && node.wireguard !== undefined && { wireguard: node.wireguard }),
    ...(driver === "ipsec" && node.ipsec !== undefined && { ipsec: node.ipsec }),
  };
}
