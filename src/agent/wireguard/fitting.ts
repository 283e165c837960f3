import { nodeConflicts } from "../../config/wireguard-node.ts";
import type { WantedPeer } from "../../config/wireguard-peer.ts";
import type { Endpoint } from "../../net/endpoint.ts";
import { hostPrefix, type Prefix } from "../../net/prefix.ts";
import { PrefixMap } from "../../net/prefix-map.ts";
import type { OnLink } from "../../node/underlay.ts";
import type { WireguardIdentity } from "../../registry/node-record.ts";
import type { PublicKey } from "../../wireguard/key.ts";
import type { WantedTunnel, WantedTunnels } from "../driver.ts";
import { endpointFault, guardedWithout, guardOf, heldText } from "../fitting.ts";
import type { SlotPeer } from "./slot-plan.ts";

/** What of the node can be in the way of a plan. */
export interface MeshFacts {
  readonly ownPublicKey: PublicKey;
  /** The node's addresses on its links, without `lo` and the driver's own devices. */
  readonly addresses: readonly OnLink[];
  /** What other WireGuard devices of podvpn on the node keep for themselves. */
  readonly meshes: readonly { readonly dev: string; readonly network: string; readonly prefix: Prefix }[];
  /** Routes that somebody else made in the table in which the mesh's are; `text`: as messages show them. */
  readonly routes: readonly { readonly dst: Prefix; readonly text: string }[];
}

/** What of a plan can be brought about on this node. */
export interface FittingTunnels {
  readonly peers: readonly SlotPeer[];
  readonly guarded: readonly Prefix[];
  /** What cannot, and why: in words, with the remedy. */
  readonly obstacles: readonly string[];
}

interface WireguardTunnel extends WantedTunnel {
  readonly identity: WireguardIdentity;
}

/**
 * What of the plan fits this node. Another than a plugin's configuration a plan is never refused as a whole: what one
 * node has wrong in its record must not take the tunnels of the others. A prefix that holds an address of this node would
 * cut the node off its own network: it is neither routed nor guarded. Pure.
 */
export function fittingTunnels({ tunnels, guarded }: WantedTunnels, facts: MeshFacts): FittingTunnels {
  const wanted = tunnels.flatMap((tunnel): WireguardTunnel[] => {
    const { wireguard } = tunnel.peer;
    return wireguard === undefined ? [] : [{ ...tunnel, identity: wireguard }];
  });
  const holders = new PrefixMap<string>();
  for (const { peer } of wanted) for (const prefix of peer.prefixes) holders.set(prefix, peer.name);
  const held = facts.addresses.flatMap((own) =>
    holders.holders(hostPrefix(own.address)).map(({ prefix, value }) => ({ own, prefix, name: value })),
  );
  const unusable = new Set(held.map(({ prefix }) => prefix));
  const guard = guardOf(guarded);
  const outside = facts.addresses.filter(({ address }) => guard.holder(hostPrefix(address)) !== undefined);
  const endpoints = new Map(wanted.map((tunnel) => [tunnel, endpointOf(tunnel, guard)]));
  const others = wanted.filter(({ identity }) => identity.publicKey !== facts.ownPublicKey);
  return {
    peers: others.map((tunnel): SlotPeer => {
      const { peer, identity } = tunnel;
      const { publicKey, nextPublicKey, port } = identity;
      const endpoint = endpoints.get(tunnel);
      return {
        name: peer.name,
        publicKey,
        ...(nextPublicKey === undefined ? {} : { nextPublicKey }),
        port,
        ...(typeof endpoint === "object" && { endpoint }),
        prefixes: unusable.size === 0 ? peer.prefixes : peer.prefixes.filter((prefix) => !unusable.has(prefix)),
        persistentKeepalive: peer.keepalive,
        ...(tunnel.isLost && { isLost: true }),
      };
    }),
    guarded: guardedWithout(guarded, outside),
    obstacles: [
      ...held.map(({ own, prefix, name }) => heldText(own, prefix, name)),
      ...outside
        .filter((own) => !held.some((one) => one.own === own))
        .map(
          ({ dev, prefix }) => `the mesh's network holds ${prefix} of this node's ${dev}; give pods another network`,
        ),
      ...[...endpoints.values()].flatMap((endpoint) => (typeof endpoint === "string" ? [endpoint] : [])),
      ...conflicts(wanted, facts),
    ],
  };
}

/** What the plugin would refuse as well. Usually there is nothing to compare with, and a thousand peers take their time. */
function conflicts(wanted: readonly WireguardTunnel[], { ownPublicKey, meshes, routes }: MeshFacts): string[] {
  const isAlone = meshes.length === 0 && routes.length === 0;
  const compared = isAlone ? wanted.filter(({ identity }) => identity.publicKey === ownPublicKey) : wanted;
  const facts = { ownPublicKey, subnets: [], meshes, routes };
  const found = nodeConflicts({ peers: compared.map(configured), addresses: [] }, facts);
  return found.map(({ what, remedy }) => `${what}; ${remedy}`);
}

/** The endpoint; or why it cannot be one. */
function endpointOf({ peer, endpoint }: WantedTunnel, guard: PrefixMap<true>): Endpoint | string | undefined {
  if (endpoint === undefined) return undefined;
  return endpointFault(peer.name, endpoint.address, guard) ?? endpoint;
}

/** For those checks that the plugin has as well. */
function configured({ peer: { name, prefixes }, identity }: WireguardTunnel): WantedPeer {
  const place = {
    publicKey: `the key of ${name}`,
    endpoint: `the address of ${name}`,
    allowedIPs: prefixes.map(() => `a prefix of ${name}`),
  };
  return { publicKey: identity.publicKey, allowedIPs: prefixes, persistentKeepalive: 0, place };
}
