import { type MeshConnection, meshFingerprints, selectorsFingerprint } from "../../ipsec/mesh-connection.ts";
import type { HeldPeer } from "../../ipsec/mesh-held.ts";
import { peerLabel } from "../../ipsec/mesh-name.ts";
import {
  contested,
  type MeshStep,
  meshNumbers,
  type PeerPlan,
  planPeer,
  type WantedPeer,
} from "../../ipsec/mesh-plan.ts";
import type { DataPlane } from "../../ipsec/strongswan-conf.ts";
import type { Address } from "../../net/address.ts";
import { authenticationWith, type IpsecCredentials } from "./credentials.ts";
import { IF_ID } from "./device.ts";
import type { FittingTunnel } from "./fitting.ts";
import type { Memory } from "./memory.ts";

/** A connection to a peer, and what the plan has to know of it. */
export interface WantedConnection {
  readonly wanted: WantedPeer;
  readonly connection: MeshConnection;
}

/** What all connections of this node have in common. */
export interface OwnSide {
  readonly identity: string;
  readonly credentials: IpsecCredentials;
  readonly listen?: readonly Address[];
  readonly dataPlane: DataPlane;
}

/** The connections that charon shall have, by the labels of the peers. Pure. */
export function wantedConnections(
  tunnels: readonly FittingTunnel[],
  own: OwnSide,
): ReadonlyMap<string, WantedConnection> {
  return new Map(tunnels.map((tunnel) => [peerLabel(tunnel.peer.name), wantedConnection(tunnel, own)]));
}

function wantedConnection(tunnel: FittingTunnel, { identity, credentials, listen, dataPlane }: OwnSide) {
  const { peer, ipsec, local, remote, endpoint } = tunnel;
  const connection: MeshConnection = {
    peer: peer.name,
    identity,
    peerIdentity: ipsec.identity,
    authentication: authenticationWith(credentials, tunnel),
    local,
    remote,
    ...(endpoint && { endpoint }),
    ...(listen && { listen }),
    dataPlane,
    ...(dataPlane === "kernel" && { ifId: IF_ID }),
    restarts: peer.initiates,
  };
  const wanted: WantedPeer = {
    peer: peerLabel(peer.name),
    ...meshFingerprints(connection),
    selectors: selectorsFingerprint(connection),
    local,
    remote,
    ...(endpoint && { endpoint }),
    designated: peer.initiates,
  };
  return { wanted, connection };
}

/** What to tell charon about all peers, by what it holds of them and how long that has been so. */
export function planPeers(
  connections: ReadonlyMap<string, WantedConnection>,
  held: ReadonlyMap<string, HeldPeer>,
  dataPlane: DataPlane,
  { isLost, isLate, isTried, isProven, isOverdue }: Memory,
): PeerPlan[] {
  const options = { traps: dataPlane === "userspace", isLost, isLate, isTried, isProven };
  const numbers = meshNumbers([...connections.keys()], held);
  const wanted = [...connections.values()].map((one) => one.wanted);
  const ways = Map.groupBy(contested(wanted, held, isOverdue), (step) => step.sa.name.peer);
  return wanted.map((one) => {
    const plan = planPeer(one, numbers.get(one.peer) ?? 0, held.get(one.peer) ?? EMPTY, options);
    return { ...plan, steps: [...plan.steps, ...(ways.get(one.peer) ?? [])] };
  });
}

const EMPTY: HeldPeer = { connections: [], traps: [], sas: [] };

/** The connection as a step loads it: where nothing new is known of the peer's endpoint, what is known stays. Pure. */
export function loadedBy(step: MeshStep, connection: MeshConnection): MeshConnection {
  if (step.do !== "load") return connection;
  const { authentication } = connection;
  const endpoint = connection.endpoint ?? step.endpoint;
  return {
    ...connection,
    ...(endpoint && { endpoint }),
    ...(step.isStrict &&
      authentication.by === "key" && { authentication: { ...authentication, peer: [authentication.peer[0]] } }),
  };
}

/** Labels of peers, by whether charon had anything for them, and whether their tunnels are others now. Pure. */
export function changesOf(
  plans: readonly PeerPlan[],
  held: ReadonlyMap<string, HeldPeer>,
): { readonly made: string[]; readonly altered: string[] } {
  const isNew = ({ progress }: PeerPlan) => (held.get(progress.peer)?.connections.length ?? 0) === 0;
  const isAltered = ({ steps, progress }: PeerPlan) => {
    const before = new Set(held.get(progress.peer)?.connections.map(({ name }) => name.tunnel));
    return steps.some((step) => step.do === "initiate" || (step.do === "load" && !before.has(step.name.tunnel)));
  };
  const labels = (some: readonly PeerPlan[]) => some.map(({ progress }) => progress.peer);
  return {
    made: labels(plans.filter(isNew)),
    altered: labels(plans.filter((plan) => !isNew(plan) && isAltered(plan))),
  };
}
