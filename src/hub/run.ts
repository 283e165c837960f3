import { type IkeSa, ViciCommandError, ViciError } from "vici";
import type { HubConfig } from "../config/hub.ts";
import { chooseDataPlane } from "../dataplane/choose.ts";
import { Code, Fault } from "../fault.ts";
import { findCharon, logTail, openVici } from "../ipsec/charon.ts";
import { readText, removeTree } from "../os/file.ts";
import { requireSameNamespace } from "./checks.ts";
import type { Journal } from "./journal.ts";
import { Keeper } from "./keeper.ts";
import { listSas } from "./leases.ts";
import { letPodsIn } from "./loading.ts";
import { openBook } from "./open-book.ts";
import { type HubRecord, readRecord } from "./record.ts";
import { hubCharon, prepare } from "./start.ts";
import { lockHub, lockLeases, removeLeaseFile, takeDown } from "./stop.ts";
import { upkeep } from "./upkeep.ts";
import { Watch } from "./watch.ts";

/** Milliseconds between two looks at what charon's log has, what others did to the guard, and which leases have ended. */
const UPKEEP = 60_000;
/** The same when leases are shorter than that. */
const SHORTEST_UPKEEP = 500;
/** Milliseconds for one VICI connection. */
const CONNECT = 5000;
/** Milliseconds from charon's last word to its end. */
const LAST_BREATH = 2000;

/** What the operator asks for at this start. */
export interface RunOptions {
  /** Begins without leases when their file is damaged. */
  readonly discardDamagedLeases: boolean;
}

/**
 * Runs a hub in the current network namespace until `stop`, and then takes all of it away but for the leases.
 * A charon that an earlier, killed hub left running is taken over with all its pods.
 * @throws Fault. When charon dies, guard and addresses stay: nothing leaves in plain until the hub is started again.
 * When the hub cannot be started, what this call made is taken away.
 */
export async function runHub(config: HubConfig, options: RunOptions, log: Journal, stop: AbortSignal): Promise<void> {
  const { directory } = config;
  using lock = await lockHub(directory, true);
  if (lock === undefined) throw new TypeError("a directory that is made is locked");
  requireSameNamespace(directory);
  await using undo = new AsyncDisposableStack();
  const left = readRecord(directory);
  if (left === undefined) undo.defer(() => removeTree(directory));
  if (readText(config.leases) === undefined) undo.defer(() => removeLeaseFile(config.leases));
  using _leases = await lockLeases(config.leases);
  const book = openBook(config, options.discardDamagedLeases, log);
  const dataPlane = await chooseDataPlane(config.dataplane);
  const record = await prepare(config, dataPlane, left, log, undo);
  {
    const { vici, isNew } = await hubCharon(config, dataPlane, log, lock.fd);
    await using _vici = vici;
    let watch: Watch | undefined;
    using keeper = new Keeper(vici, config, book, log, () => watch?.ask());
    watch = new Watch(vici, keeper, log);
    await serve(watch, record, config, log, stop, async () => {
      await loadAll(keeper, isNew ? undefined : await listSas(vici));
      await letPodsIn();
      undo.move(); // it serves: from here on only a stop takes it away
      log("info", `serving ${record.subnets.join(" and ")} as "${config.identity}" (${dataPlane} ESP)`);
    });
  }
  log("info", "stopping");
  await takeDown(directory, record);
}

async function loadAll(keeper: Keeper, sas: readonly IkeSa[] | undefined): Promise<void> {
  try {
    await keeper.begin(sas);
  } catch (error) {
    if (!(error instanceof ViciCommandError)) throw error;
    throw new Fault(
      Code.invalidConfig,
      `charon refused the configuration (${error.message})`,
      "correct proposals and espProposals",
      { cause: error },
    );
  }
}

/** Returns at `stop`. @param begin Lets pods in: called once, when nothing that happens to them is missed any more. */
async function serve(
  watch: Watch,
  record: HubRecord,
  { directory, leaseTime }: HubConfig,
  log: Journal,
  stop: AbortSignal,
  begin: () => Promise<void>,
): Promise<void> {
  const pause = leaseTime === 0 ? UPKEEP : Math.max(SHORTEST_UPKEEP, Math.min(UPKEEP, leaseTime * 500));
  const timer = setInterval(() => {
    void upkeep(record, directory, log);
    watch.ask();
  }, pause);
  let listening = begin;
  try {
    for (;;) {
      try {
        await using events = await openVici(directory, CONNECT);
        await watch.run(events, stop, listening);
      } catch (error) {
        // Many pods at once: some lines of log are lost, and the listing tells who is there.
        const overflow = error instanceof ViciError && error.code === "OVERFLOW";
        if (!overflow && !stop.aborted) throw await lost(directory, error);
      }
      if (stop.aborted) return;
      listening = async () => {};
    }
  } finally {
    clearInterval(timer);
  }
}

/** Why the connection to charon was lost. */
async function lost(directory: string, error: unknown): Promise<unknown> {
  if (!(error instanceof ViciError)) return error;
  using charon = findCharon(directory);
  const dead = charon === undefined || (await charon.ended(LAST_BREATH));
  return new Fault(
    Code.charon,
    dead ? "charon died: no pod has a tunnel" : `charon does not answer (${error.message})`,
    "start the hub again; until then nothing that pods send leaves in plain",
    { details: logTail(directory), cause: error },
  );
}
