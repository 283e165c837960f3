import { aggregate } from "../../net/aggregate.ts";
import { overlaps, type Prefix } from "../../net/prefix.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { ensureTableAs } from "../../nftables/apply.ts";
import { applyRouteDifference, routeDifference } from "../../node/differences.ts";
import { type MeshRecord, tableOfGuard } from "../../node/guards.ts";
import { type Observed, ownRoutes } from "../../node/observe.ts";
import { meshRefusals } from "../../node/plan.ts";
import { AGENT_NETWORK } from "../../node/record.ts";
import type { RecordKeeper } from "./record.ts";

/** What is to be kept from leaving in plain. */
export interface WantedGuard {
  readonly guarded: readonly Prefix[];
  /** This node's own pods. */
  readonly podPrefixes: readonly Prefix[];
  /** The one that may carry it. */
  readonly device: string;
}

/**
 * The record, and what it says of the guard: what is there of it stays, and what is new comes before what is old goes.
 * @throws Fault 5, NetlinkError.
 */
export async function ensureGuard(
  nl: Netlink,
  record: RecordKeeper,
  observed: Observed,
  wanted: WantedGuard,
): Promise<void> {
  const next = guardRecord(record.current, wanted);
  record.replace(next);
  await ensureTableAs(tableOfGuard(next));
  const refusals = ownRoutes(observed, wanted.device).filter(({ type }) => type !== "unicast");
  await applyRouteDifference(nl, routeDifference(meshRefusals(next), refusals));
}

/** Pods whose prefixes were this node's stay guarded, save where others have these by now. */
function guardRecord(before: MeshRecord | undefined, { guarded, podPrefixes, device }: WantedGuard): MeshRecord {
  const kept = (before?.podSubnets ?? []).filter((subnet) => !guarded.some((one) => overlaps(one, subnet)));
  return {
    ...(before ?? { dataPlane: "userspace", sysctls: [], isLoading: false, orphans: [] }),
    version: 1,
    network: AGENT_NETWORK,
    interface: device,
    guarded,
    podSubnets: aggregate([...kept, ...podPrefixes]),
    fwmark: 0,
  };
}
