import type { IkeSa, Vici } from "vici";
import { Code, Fault } from "../../fault.ts";
import { openVici } from "../../ipsec/charon.ts";
import { POD_CHILD, podConnection } from "../../ipsec/connection.ts";
import { loadPskOf } from "../../ipsec/pod-tunnel.ts";
import { openXfrm } from "../../netlink/open.ts";
import { ensureNoState } from "../../netlink/xfrm-states.ts";
import type { Secret } from "../../secret.ts";
import { connectionOf, connectShared } from "./connect.ts";
import { keptPsk, NODE_CHARON_DIRECTORY, type SharedAttachment, sharedAttachments, tunnelName } from "./directory.ts";
import { forgetRecovery, noteRecovery } from "./note.ts";
import { type Held, type Orphan, pending, planRecovery, replaced } from "./recovery.ts";
import { unloadTunnel } from "./unload.ts";

/**
 * Milliseconds that one pod's tunnel gets before charon is left to try on by itself. A hub of podvpn's takes some to see
 * that the tunnel of before is dead.
 */
const EACH = 10_000;

/** At once; each waits for one of the slots that all processes share. */
const WORKERS = 4;

/** What came of it. */
export interface Recovered {
  /** Pods that had a tunnel once and have it again, or still. */
  readonly up: number;
  /** Pods for which charon still tries. */
  readonly waiting: readonly SharedAttachment[];
}

type Shared = ReturnType<typeof sharedAttachments>[number];

/**
 * Brings the node's charon and the pods' records together: connections of pods that are gone are unloaded, those without
 * a tunnel asked for, and what dead charons left in the kernel is removed where there is a new tunnel. The caller holds
 * the lock and has noted it; the note goes when all is done. However many hubs are silent, it takes some seconds.
 * @throws ViciError when charon does not answer, Fault 5, NetlinkError.
 */
export async function recover(vici: Vici, orphans: readonly Orphan[]): Promise<Recovered> {
  const pods = sharedAttachments();
  const { unload, connect } = planRecovery(pods, await held(vici));
  for (const name of unload) await unloadTunnel(vici, name);
  await connectAll(connect);
  const waiting = pending(pods, await held(vici));
  const gone = replaced(orphans, waiting);
  if (gone.length > 0) {
    using xfrm = openXfrm();
    for (const state of gone) await ensureNoState(xfrm, state);
  }
  const left = orphans.filter((orphan) => !gone.includes(orphan));
  if (waiting.length === 0) forgetRecovery();
  else if (gone.length > 0) noteRecovery(left);
  return { up: pods.length - waiting.length, waiting: waiting.map(({ record }) => record) };
}

async function held(vici: Vici): Promise<Held> {
  const sas: IkeSa[] = [];
  for await (const sa of vici.listSas({}, { timeout: LIST_TIMEOUT })) sas.push(sa);
  return { connections: await vici.getConns(), sas };
}

/** Milliseconds. Without `noblock` charon waits for SAs that other threads hold. */
const LIST_TIMEOUT = 20_000;

async function connectAll(pods: readonly Shared[]): Promise<void> {
  const queue = [...pods];
  const silent = new Set<string>();
  const worker = async () => {
    if (queue.length === 0) return;
    await using vici = await openVici(NODE_CHARON_DIRECTORY, EACH);
    for (let pod = queue.shift(); pod !== undefined; pod = queue.shift()) await connectAgain(vici, pod, silent);
  };
  // Of several that fail, one says enough: charon is dead or mute.
  const [failed] = (await Promise.allSettled(Array.from({ length: WORKERS }, worker))).filter(isRejected);
  if (failed !== undefined) throw failed.reason;
}

function isRejected(one: PromiseSettledResult<unknown>): one is PromiseRejectedResult {
  return one.status === "rejected";
}

/**
 * The tunnel of one pod; when that fails, charon is left to try on. Of a hub that was silent once no more is waited for.
 * @throws ViciError when charon does not answer.
 */
async function connectAgain(vici: Vici, { directory, record }: Shared, silent: Set<string>): Promise<void> {
  const psk = keptPsk(directory);
  if (psk === undefined) return; // its DEL is under way
  const hubs = record.shared.servers.join();
  if (!silent.has(hubs)) {
    try {
      await connectShared(vici, record, { psk, timeout: EACH, again: true });
      return;
    } catch (error) {
      if (!(error instanceof Fault) || error.code === Code.charon) throw error;
      if (error.code === Code.hubSilent) silent.add(hubs);
    }
  }
  await leaveToCharon(vici, record, psk);
}

/** Asks without waiting: `keyingtries = 0` goes on until the hub answers. */
async function leaveToCharon(vici: Vici, record: SharedAttachment, psk: Secret): Promise<void> {
  const name = tunnelName(record);
  await loadPskOf(vici, name, record.identity, psk);
  const [server] = record.shared.servers;
  await vici.loadConn(name, podConnection({ ...connectionOf(record, true), server }));
  // -1: answers at once, and holds no thread of charon's.
  await vici.request("initiate", { ike: name, child: POD_CHILD, timeout: "-1" });
}
