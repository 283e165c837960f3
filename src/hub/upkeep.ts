import { applyGuard, missingOfGuard } from "../guard/apply.ts";
import { trimLog } from "../ipsec/charon.ts";
import type { Netns } from "../os/namespace.ts";
import type { Journal } from "./journal.ts";
import { hubGuard } from "./network.ts";
import type { HubRecord } from "./record.ts";

/**
 * What has to be looked after while a hub runs: charon's log, and the guard, which `nft flush ruleset` (a reload of
 * nftables.service) takes away. Tells what it did and what failed; never throws.
 * @param netns The hub's network namespace; this process's own without it.
 */
export async function upkeep(
  record: Pick<HubRecord, "subnets" | "dataPlane">,
  directory: string,
  log: Journal,
  netns?: Netns,
): Promise<void> {
  try {
    trimLog(directory);
    const guard = hubGuard(record.subnets, record.dataPlane);
    const missing = await missingOfGuard(guard, netns);
    if (missing.length === 0) return;
    await applyGuard(guard, netns);
    log("error", `somebody took parts of the guard away, they are back in place: ${missing.join(", ")}`);
  } catch (error) {
    log("error", `upkeep: ${error instanceof Error ? error.message : String(error)}`);
  }
}
