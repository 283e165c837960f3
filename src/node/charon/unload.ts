import { type Vici, ViciCommandError } from "vici";

/** Milliseconds that a hub gets to acknowledge the DELETE; a dead one must not hold up DEL. */
const TERMINATE_WITHIN = 1000;

/**
 * Ends a pod's tunnel in the node's charon, so that the hub frees the lease, and takes its connection and its key away.
 * What is not there is fine. @throws ViciError when charon does not answer.
 */
export async function unloadTunnel(vici: Vici, name: string): Promise<void> {
  // With a deadline of our own: a charon that hangs does not even tell that the time is over.
  const signal = AbortSignal.timeout(1.5 * TERMINATE_WITHIN);
  // The connection first: what is terminated while it is loaded may be started again (close_action).
  await unlessRefused(vici.unloadConn(name, { signal }));
  await unlessRefused(vici.terminate({ ike: name, force: true, timeout: TERMINATE_WITHIN, signal }));
  await unlessRefused(vici.unloadShared(name, { signal }));
}

/** charon refuses to take away what it does not have. */
async function unlessRefused(command: Promise<unknown>): Promise<void> {
  try {
    await command;
  } catch (error) {
    if (!(error instanceof ViciCommandError)) throw error;
  }
}
