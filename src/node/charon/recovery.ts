import type { IkeSa } from "vici";
import { isUp } from "../../ipsec/pod-tunnel.ts";
import { isWaiting } from "../../ipsec/waiting.ts";
import type { XfrmState } from "../../netlink/xfrm.ts";
import { hasHadTunnel } from "./connect.ts";
import { isTunnelName, type SharedAttachment, tunnelName } from "./directory.ts";

/** What a charon has: of its IKE_SAs those parts that matter here. */
export interface Held {
  /** Names of its connections. */
  readonly connections: readonly string[];
  readonly sas: readonly Pick<IkeSa, "name" | "state" | "childSas" | "localVips">[];
}

/** What brings a charon and the pods' records together. */
export interface Recovery<A> {
  /** Connections of pods that are gone. */
  readonly unload: readonly string[];
  /** Pods whose tunnel is neither up nor on its way. */
  readonly connect: readonly A[];
}

/** Plans it. A pod without a tunnel of which charon has a connection and an IKE_SA is left to charon, which tries for ever. Pure. */
export function planRecovery<A extends { readonly record: SharedAttachment }>(
  pods: readonly A[],
  { connections, sas }: Held,
): Recovery<A> {
  const names = new Set(pods.map(({ record }) => tunnelName(record)));
  const asking = new Set(sas.filter(({ state }) => !GOING.has(state)).map(({ name }) => name));
  return {
    unload: connections.filter((name) => isTunnelName(name) && !names.has(name)),
    connect: pods.filter(({ record }) => {
      const name = tunnelName(record);
      return hasHadTunnel(record) && !(connections.includes(name) && asking.has(name));
    }),
  };
}

/** States of an IKE_SA that is about to end. */
const GOING: ReadonlySet<string> = new Set(["DELETING", "DESTROYING"]);

/** Pods that had a tunnel and have none now. Pure. */
export function pending<A extends { readonly record: SharedAttachment }>(
  pods: readonly A[],
  { sas }: Pick<Held, "sas">,
): A[] {
  const up = new Set(sas.filter((sa) => isUp(sa) && !isWaiting(sa)).map(({ name }) => name));
  return pods.filter(({ record }) => hasHadTunnel(record) && !up.has(tunnelName(record)));
}

/** A security association that a dead charon left behind, as far as it is written down. */
export type Orphan = Pick<XfrmState, "dst" | "spi" | "protocol"> & { readonly ifId: number };

/**
 * The security associations of pods, when no charon runs: none of them will ever be rekeyed or deleted. With those that
 * are known from an earlier death. Pure.
 */
export function orphansOf(
  states: readonly XfrmState[],
  pods: readonly { readonly record: SharedAttachment }[],
): Orphan[] {
  const ids = new Set(pods.map(({ record }) => record.shared.ifId));
  return states.flatMap(({ dst, spi, protocol, ifId }) =>
    ifId !== undefined && ids.has(ifId) ? [{ dst, spi, protocol, ifId }] : [],
  );
}

/** Those that are of no more use: traffic goes on by the others until their pod's new tunnel is up. Pure. */
export function replaced(
  orphans: readonly Orphan[],
  waiting: readonly { readonly record: SharedAttachment }[],
): Orphan[] {
  const ids = new Set(waiting.map(({ record }) => record.shared.ifId));
  return orphans.filter(({ ifId }) => !ids.has(ifId));
}
