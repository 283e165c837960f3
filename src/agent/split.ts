import type { MeshPlan, PlannedPeer } from "../mesh/mesh-plan.ts";
import type { Address } from "../net/address.ts";
import { aggregate } from "../net/aggregate.ts";
import type { Endpoint } from "../net/endpoint.ts";
import type { Prefix } from "../net/prefix.ts";
import { subtract } from "../net/subtract.ts";
import type { Driver } from "../registry/node-record.ts";
import type { WantedTunnel, WantedTunnels } from "./driver.ts";

/** What the split depends on besides the plan. */
export interface SplitOptions {
  /** The configuration's, the preferred one first. */
  readonly drivers: readonly [Driver, ...Driver[]];
  /** This node's own addresses in the mesh. */
  readonly addresses: readonly Address[];
  /** Of the underlay, in bytes, where the operator knows better than the link. */
  readonly mtu?: number;
  readonly endpointOf: (peer: PlannedPeer) => Endpoint | undefined;
  /** See {@link WantedTunnel.isLost}; absent: none is. */
  readonly isLost?: (peer: PlannedPeer) => boolean;
}

/**
 * The plan, driver by driver: each has its own peers, and guards what is behind these. What is behind nobody (pods of
 * nodes that are gone, or not there yet, or need a driver that this node does not have) is guarded by the first driver,
 * which is always there; another one without peers is not needed and not in the result. No two guard the same. Pure.
 */
export function splitPlan(plan: MeshPlan, options: SplitOptions): ReadonlyMap<Driver, WantedTunnels> {
  const { drivers, addresses, mtu, endpointOf, isLost } = options;
  const peersOf = Map.groupBy(plan.peers, ({ driver }) => driver);
  // Not those whose driver this node does not have: a plan may be older than the configuration.
  const others = drivers.slice(1).flatMap((driver) => (peersOf.get(driver) ?? []).flatMap(({ prefixes }) => prefixes));
  const wanted = new Map<Driver, WantedTunnels>();
  for (const [index, driver] of drivers.entries()) {
    const peers = peersOf.get(driver) ?? [];
    if (index > 0 && peers.length === 0) continue;
    wanted.set(driver, {
      tunnels: peers.map((peer) => {
        const endpoint = endpointOf(peer);
        return { peer, ...(endpoint && { endpoint }), ...(isLost?.(peer) && { isLost: true }) };
      }),
      guarded: index === 0 ? subtract(plan.guarded, others) : aggregate(peers.flatMap(({ prefixes }) => prefixes)),
      podPrefixes: plan.podPrefixes,
      addresses,
      ...(mtu === undefined ? {} : { mtu }),
    });
  }
  return wanted;
}

/**
 * What a driver must guard on the way from `before` to `wanted`, while others take prefixes over from it: those as well,
 * until the others guard them. Both at once let nothing pass, and that is better than neither. Undefined when that is
 * what it guards in the end anyway. Pure.
 */
export function guardedMeanwhile(
  driver: Driver,
  before: ReadonlyMap<Driver, readonly Prefix[]>,
  wanted: ReadonlyMap<Driver, WantedTunnels>,
): readonly Prefix[] | undefined {
  const own = wanted.get(driver)?.guarded ?? [];
  const lost = subtract(before.get(driver) ?? [], own);
  if (lost.length === 0) return undefined;
  const others = [...wanted].flatMap(([other, { guarded }]) => (other === driver ? [] : guarded));
  const kept = subtract(lost, subtract(lost, others)); // what is lost to somebody
  return kept.length === 0 ? undefined : aggregate([...own, ...kept]);
}
