import type { MeshAuthentication } from "../../ipsec/mesh-connection.ts";
import { MOST_SELECTORS } from "../../ipsec/mesh-connection.ts";
import { MOST_PEERS } from "../../ipsec/mesh-name.ts";
import type { PlannedPeer } from "../../mesh/mesh-plan.ts";
import type { Address } from "../../net/address.ts";
import { aggregate } from "../../net/aggregate.ts";
import { contains, hostPrefix, type Prefix } from "../../net/prefix.ts";
import type { PrefixMap } from "../../net/prefix-map.ts";
import type { OnLink } from "../../node/underlay.ts";
import type { IpsecIdentity } from "../../registry/node-record.ts";
import type { WantedTunnel, WantedTunnels } from "../driver.ts";
import { endpointFault, guardedWithout, guardOf, heldText } from "../fitting.ts";

/** What of the node can be in the way of a plan. */
export interface NodeFacts {
  /** This node's IKE identity. */
  readonly identity: string;
  readonly by: MeshAuthentication["by"];
  /** The node's addresses on its links, without `lo` and the driver's own device. */
  readonly addresses: readonly OnLink[];
}

/** A tunnel that can be made. */
export interface FittingTunnel {
  readonly peer: PlannedPeer;
  readonly ipsec: IpsecIdentity;
  readonly endpoint?: Address;
  /** Traffic selectors: aggregated, which is the same on both sides. */
  readonly local: readonly Prefix[];
  readonly remote: readonly Prefix[];
}

/** What of a plan can be brought about on this node. */
export interface FittingTunnels {
  readonly tunnels: readonly FittingTunnel[];
  readonly guarded: readonly Prefix[];
  /** What cannot, and why: in words, with the remedy. */
  readonly obstacles: readonly string[];
}

/**
 * What of the plan fits this node. It is never refused as a whole: what one node has wrong in its record must not take the
 * tunnels of the others. A prefix that holds an address of this node would cut the node off its own network: it is
 * neither routed nor guarded. Pure.
 */
export function fittingTunnels({ tunnels, guarded }: WantedTunnels, facts: NodeFacts): FittingTunnels {
  const obstacles: string[] = [];
  const isHeld = (prefix: Prefix) => facts.addresses.find(({ address }) => contains(prefix, address));
  const guard = guardOf(guarded);
  const identities = new Map<string, string>([[facts.identity.toLowerCase(), "this node"]]);
  const fitting = tunnels.flatMap((tunnel): FittingTunnel[] => {
    const { peer } = tunnel;
    const { ipsec } = peer;
    const why = ipsec === undefined ? "it has no IPsec identity" : unprovable(ipsec, facts, identities);
    if (ipsec === undefined || why !== undefined) {
      obstacles.push(`no tunnel to ${peer.name}: ${why}; correct its record`);
      return [];
    }
    identities.set(ipsec.identity.toLowerCase(), peer.name);
    const usable = peer.prefixes.filter((prefix) => {
      const own = isHeld(prefix);
      if (own === undefined) return true;
      obstacles.push(heldText(own, prefix, peer.name));
      return false;
    });
    const local = aggregate(peer.localPrefixes);
    const remote = aggregate(usable);
    const size = sizeFault(peer.name, local, remote);
    if (size !== undefined) {
      obstacles.push(size);
      return [];
    }
    const endpoint = endpointOf(tunnel, guard, obstacles);
    return [{ peer, ipsec, local, remote, ...(endpoint && { endpoint }) }];
  });
  if (fitting.length > MOST_PEERS) {
    obstacles.push(
      `the node has ${fitting.length} peers, of which ${MOST_PEERS} get a tunnel; put gateways between sites`,
    );
  }
  const outside = facts.addresses.filter(({ address }) => guard.holder(hostPrefix(address)) !== undefined);
  return {
    tunnels: fitting.slice(0, MOST_PEERS),
    guarded: guardedWithout(guarded, outside),
    obstacles,
  };
}

/** Why a peer cannot prove who it is; undefined when it can. charon compares names without regard to case. */
function unprovable(
  { identity, publicKey }: IpsecIdentity,
  { by }: NodeFacts,
  identities: ReadonlyMap<string, string>,
): string | undefined {
  const holder = identities.get(identity.toLowerCase());
  if (holder !== undefined) return `its IPsec identity "${identity}" is that of ${holder} as well`;
  return by === "key" && publicKey === undefined
    ? "it has no public key, and this node authenticates by keys"
    : undefined;
}

function sizeFault(name: string, local: readonly Prefix[], remote: readonly Prefix[]): string | undefined {
  if (local.length === 0) return `no tunnel to ${name}: this node has no pod prefix; give it one`;
  if (remote.length === 0) return `no tunnel to ${name}: it has no pod prefix; give it one`;
  const most = Math.max(local.length, remote.length);
  if (most <= MOST_SELECTORS) return undefined;
  return `no tunnel to ${name}: it would carry ${most} prefixes, and IKE takes ${MOST_SELECTORS}; give the nodes of a site prefixes that stand side by side`;
}

/** Where the peer is; what cannot be an endpoint goes to `obstacles`. */
function endpointOf(
  { peer, endpoint }: WantedTunnel,
  guard: PrefixMap<true>,
  obstacles: string[],
): Address | undefined {
  if (endpoint === undefined) return undefined;
  const fault = endpointFault(peer.name, endpoint.address, guard);
  if (fault === undefined) return endpoint.address;
  obstacles.push(fault);
  return undefined;
}
