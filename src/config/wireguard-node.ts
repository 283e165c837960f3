import { type InterfaceAddress, type Prefix, prefixOf } from "../net/prefix.ts";
import type { PublicKey } from "../wireguard/key.ts";
import type { Issue } from "./issues.ts";
import { allowedIPsOf, overlapping, type WantedPeer } from "./wireguard-peer.ts";

/** What of a node a configuration can collide with. */
export interface NodeFacts {
  /** Absent: known to be none of the peers'. */
  readonly ownPublicKey?: PublicKey;
  /** The subnets on the node's links, without those of `lo` and of the device itself. */
  readonly subnets: readonly { readonly dev: string; readonly prefix: Prefix }[];
  /** What other WireGuard devices of podvpn on the node keep for themselves. */
  readonly meshes: readonly { readonly dev: string; readonly network: string; readonly prefix: Prefix }[];
  /** Routes that somebody else made in the table in which the mesh's are; `text`: as messages show them. */
  readonly routes: readonly { readonly dst: Prefix; readonly text: string }[];
}

/**
 * What is wrong between a configuration and the node that it is on: a peer that is this very node, and what is behind a
 * peer but also on a link of the node, or behind another router. A route that is less specific than an allowed IP is
 * none of its business: the default route is one. Pure.
 */
export function nodeConflicts(
  config: { readonly peers: readonly WantedPeer[]; readonly addresses: readonly InterfaceAddress[] },
  facts: NodeFacts,
): Issue[] {
  return [
    ...ownKey(config.peers, facts.ownPublicKey),
    ...onLinks(config.peers, facts.subnets),
    ...addressesOnLinks(config.addresses, facts.subnets),
    ...inOtherMeshes(config.peers, facts.meshes),
    ...routedElsewhere(config.peers, facts.routes),
  ];
}

function ownKey(peers: readonly WantedPeer[], own: PublicKey | undefined): Issue[] {
  return peers
    .filter(({ publicKey }) => publicKey === own)
    .map(({ publicKey, place }) => ({
      what: `${place.publicKey} is "${publicKey}", the key of this device itself`,
      remedy: "take that peer out on this node: a peer is another end",
    }));
}

function onLinks(peers: readonly WantedPeer[], subnets: NodeFacts["subnets"]): Issue[] {
  return overlapping(allowedIPsOf(peers), subnets).map(([{ prefix, path }, subnet]) => ({
    what: `${path} is "${prefix}", which overlaps "${subnet.prefix}" on the node's ${subnet.dev}`,
    remedy: "give what is behind the peer alone, without addresses of the networks that the node itself is in",
  }));
}

/** With its prefix length an address makes a route for all of its subnet. */
function addressesOnLinks(addresses: readonly InterfaceAddress[], subnets: NodeFacts["subnets"]): Issue[] {
  const own = addresses.map(({ address, prefixLength }) => ({
    prefix: prefixOf(address, prefixLength),
    path: `wireguard.address, with "${address}/${prefixLength}",`,
  }));
  return overlapping(own, subnets).map(([{ path }, subnet]) => ({
    what: `${path} overlaps "${subnet.prefix}" on the node's ${subnet.dev}`,
    remedy: "give an address, with a prefix length, of a network that the node is not in otherwise",
  }));
}

/** Each of two devices would refuse what goes by the other: of what both have, nothing would pass. */
function inOtherMeshes(peers: readonly WantedPeer[], meshes: NodeFacts["meshes"]): Issue[] {
  return overlapping(allowedIPsOf(peers), meshes).map(([{ prefix, path }, { dev, network, prefix: other }]) => ({
    what: `${path} is "${prefix}", which overlaps "${other}" of the node's WireGuard device ${dev} (network ${network})`,
    remedy: `give each prefix to one device; with removeWithLastPod, ${dev} goes with the last pod of its network`,
  }));
}

function routedElsewhere(peers: readonly WantedPeer[], routes: NodeFacts["routes"]): Issue[] {
  const others = routes.map(({ dst, text }) => ({ prefix: dst, text }));
  return overlapping(allowedIPsOf(peers), others, "inside").map(([{ prefix, path }, route]) => ({
    what: `${path} is "${prefix}", and the node has the route "${route.text}"`,
    remedy: "remove that route, or give wireguard.table, or take its addresses out of allowedIPs",
  }));
}
