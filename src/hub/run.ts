import { ViciError, type Vici } from "vici";
import type { HubConfig } from "../config/hub.ts";
import { Code, Fault } from "../fault.ts";
import { applyGuard, missingOfGuard } from "../guard/apply.ts";
import { findCharon, logTail, openVici, stopCharon, trimLog } from "../ipsec/charon.ts";
import { chooseDataPlane } from "../ipsec/data-plane.ts";
import { removeTree } from "../os/file.ts";
import { type Lock, lockDirectory } from "../os/lock.ts";
import { requireSameNamespace } from "./checks.ts";
import type { Journal } from "./journal.ts";
import { load } from "./load.ts";
import { hubGuard, lower } from "./network.ts";
import { type HubRecord, readRecord } from "./record.ts";
import { hubCharon, prepare } from "./start.ts";
import { watch } from "./watch.ts";
import { wantedOf } from "./wanted.ts";

/** Milliseconds between two looks at what charon's log has and what others did to the guard. */
const UPKEEP = 60_000;
/** Milliseconds for one VICI connection. */
const CONNECT = 5000;

/**
 * Runs a hub in the current network namespace until `stop`, and then takes all of it away.
 * A charon that an earlier, killed hub left running is taken over with all its pods.
 * @throws Fault. When charon dies, the guard and the addresses stay: nothing leaves in plain until the hub is started
 * again. When the hub cannot be started, what this call made is taken away.
 */
export async function runHub(config: HubConfig, log: Journal, stop: AbortSignal): Promise<void> {
  using lock = await lockHub(config.directory);
  requireSameNamespace(config.directory);
  const dataPlane = await chooseDataPlane(config.dataplane);
  await using undo = new AsyncDisposableStack();
  const record = await prepare(config, dataPlane, log, undo);
  {
    await using vici = await hubCharon(config, dataPlane, log, lock.fd);
    undo.move();
    await serve(config, record, vici, log, stop);
  }
  await takeDown(config.directory, record);
  log("info", "stopped");
}

/** Ends the hub that was left behind in `directory`, if any: its charon, guard, addresses and settings. @throws Fault. */
export async function clearHub(directory: string): Promise<boolean> {
  using lock = await lockHub(directory);
  requireSameNamespace(directory);
  const record = readRecord(directory);
  await takeDown(directory, record);
  return lock !== undefined && record !== undefined;
}

async function takeDown(directory: string, record: HubRecord | undefined): Promise<void> {
  await stopCharon(directory);
  if (record !== undefined) await lower(record);
  removeTree(directory);
}
