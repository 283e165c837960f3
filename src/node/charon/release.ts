import { ViciError } from "vici";
import { type AttachmentKey, attachmentDirectory } from "../../attachment/record.ts";
import { findCharon, openVici, stopCharon } from "../../ipsec/charon.ts";
import { openRoute, openXfrm } from "../../netlink/open.ts";
import { removeXfrmOf } from "../../netlink/xfrm-states.ts";
import { removeTree } from "../../os/file.ts";
import { Attempts } from "../../together.ts";
import { removeUnmoved } from "./claim.ts";
import { forgetPsk, lockNodeCharonIfAny, NODE_CHARON_DIRECTORY, sharedAttachments, tunnelName } from "./directory.ts";
import { notedRecovery, noteRecovery } from "./note.ts";
import { unloadTunnel } from "./unload.ts";

/** Milliseconds. */
const ANSWER = 1000;
const SIGCONT = 18;

/**
 * Ends the tunnel of a pod: in charon, so that the hub frees the lease, and in the kernel, whatever charon was able to
 * do. Needs no charon; one that does not answer hears of it from the next ADD or CHECK.
 * @param ifId Undefined without a record: then only what charon has is removed.
 * @throws Fault 5, NetlinkError, or AggregateError of several.
 */
export async function removeSharedTunnel(key: AttachmentKey, ifId: number | undefined): Promise<void> {
  const attempts = new Attempts();
  forgetPsk(attachmentDirectory(key));
  await attempts.try(() => tellCharon(tunnelName(key)));
  if (ifId !== undefined) {
    await attempts.try(async () => {
      using xfrm = openXfrm();
      await removeXfrmOf(xfrm, (id) => id === ifId);
    });
    await attempts.try(async () => {
      using nl = openRoute();
      await removeUnmoved(nl, ifId);
    });
  }
  attempts.finish("several parts of the pod's tunnel could not be removed");
}

/**
 * Ends the node's charon when no pod needs it any more. The record of the pod that goes must be gone already: of two
 * that go at once, the second one then sees that it is the last. @returns Whether it was ended. @throws Fault 5, 11 or 103.
 */
export async function releaseNodeCharon(): Promise<boolean> {
  using lock = await lockNodeCharonIfAny();
  if (lock === undefined || sharedAttachments().length > 0) return false;
  using charon = findCharon(NODE_CHARON_DIRECTORY);
  charon?.signal(SIGCONT); // one that is stopped would take no notice of SIGTERM
  await stopCharon(NODE_CHARON_DIRECTORY);
  removeTree(NODE_CHARON_DIRECTORY);
  return true;
}

async function tellCharon(name: string): Promise<void> {
  if (!(await isTold(name))) await rememberOrphan();
}

/** False when there is a charon, and it did not answer. */
async function isTold(name: string): Promise<boolean> {
  // Who brings tunnels up again has read of this pod, perhaps: then its tunnel is taken away after that.
  using lock = await lockNodeCharonIfAny({ shared: true });
  using charon = lock && findCharon(NODE_CHARON_DIRECTORY);
  if (charon === undefined) return true;
  try {
    await using vici = await openVici(NODE_CHARON_DIRECTORY, ANSWER);
    await unloadTunnel(vici, name);
    return true;
  } catch (error) {
    if (!(error instanceof ViciError)) throw error;
    return false;
  }
}

/** A connection of a pod that is gone: the next one who has charon's ear looks for such. */
async function rememberOrphan(): Promise<void> {
  using lock = await lockNodeCharonIfAny();
  if (lock !== undefined && notedRecovery() === undefined) noteRecovery([]);
}
