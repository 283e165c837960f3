import { Code, Fault } from "../fault.ts";
import { stopCharon } from "../ipsec/charon.ts";
import { removeIfEmpty, removeTree } from "../os/file.ts";
import { type Lock, lockDirectory } from "../os/lock.ts";
import { forgetAllArrivals } from "./arrivals.ts";
import { requireSameNamespace } from "./checks.ts";
import { letPodsIn } from "./loading.ts";
import { lower } from "./network.ts";
import { type HubRecord, readRecord } from "./record.ts";

/**
 * The lock that whoever runs or removes the hub of `directory` holds.
 * @param create Makes the directory. @returns Undefined when there is no directory and `create` is not set.
 * @throws Fault 11 when a hub runs.
 */
export async function lockHub(directory: string, create: boolean): Promise<Lock | undefined> {
  try {
    return await lockDirectory(directory, { create, wait: 0 });
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== Code.tryAgainLater) throw error;
    throw new Fault(
      Code.tryAgainLater,
      `a hub runs in ${directory} already`,
      "stop that one first, or give this one a `directory` of its own",
      { cause: error },
    );
  }
}

/**
 * The lock on the directory of a hub's leases, so that no two hubs of a machine hand out addresses by one file.
 * @throws Fault 11 when another hub has them.
 */
export async function lockLeases(file: string): Promise<Lock> {
  const directory = file.slice(0, file.lastIndexOf("/"));
  try {
    const lock = await lockDirectory(directory, { create: true, wait: 0 });
    if (lock === undefined) throw new TypeError("a directory that is made is locked");
    return lock;
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== Code.tryAgainLater) throw error;
    throw new Fault(
      Code.tryAgainLater,
      `another hub keeps its leases in ${directory}`,
      "stop that one first, or give this one's `leases` a directory of their own",
      { cause: error },
    );
  }
}

/** Removes a hub's leases, and their directory when there is nothing else in it. @throws Fault 5. */
export function removeLeaseFile(file: string): void {
  removeTree(file);
  forgetAllArrivals(file);
  removeIfEmpty(file.slice(0, file.lastIndexOf("/")));
}

/** Ends charon, which tells its pods, and puts everything back; the lock on `directory` must be held. @throws Fault. */
export async function takeDown(directory: string, record: HubRecord | undefined): Promise<void> {
  await stopCharon(directory);
  await letPodsIn();
  if (record !== undefined) await lower(record);
  // The record last: who is killed before has all of it to do again.
  removeTree(directory);
}

/**
 * Takes away what a hub left behind that ended without being stopped: its charon, guard, addresses and settings.
 * @returns Whether there was anything. @throws Fault 11 when the hub runs.
 */
export async function clearHub(directory: string): Promise<boolean> {
  using lock = await lockHub(directory, false);
  if (lock === undefined) return false;
  requireSameNamespace(directory);
  await takeDown(directory, readRecord(directory));
  return true;
}
