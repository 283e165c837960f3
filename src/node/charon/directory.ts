import {
  type AttachmentKey,
  fnv1a64,
  isStrongswan,
  listAttachments,
  RUN_DIRECTORY,
  type SharedTunnel,
  type StrongswanAttachment,
} from "../../attachment/record.ts";
import { Code, Fault } from "../../fault.ts";
import { readSecretFile, removeTree, writeAtomic } from "../../os/file.ts";
import { type Lock, lockDirectory } from "../../os/lock.ts";
import { Secret } from "../../secret.ts";

/** Of the charon that all pods with `attach: node` share: its configuration, socket, pid and log. Locked to change it. */
export const NODE_CHARON_DIRECTORY = `${RUN_DIRECTORY}/charon`;

/** Milliseconds to wait for another call that starts charon anew and brings all tunnels up again. */
const LOCK_WAIT = 60_000;

/** A pod whose tunnel the node's charon holds. */
export type SharedAttachment = StrongswanAttachment & { readonly shared: SharedTunnel };

/** Whether the node's charon holds the pod's tunnel. */
export function isShared(record: StrongswanAttachment): record is SharedAttachment {
  return record.shared !== undefined;
}

/** All pods of this node whose tunnel its charon holds, also those that are being added, with their directories. */
export function sharedAttachments(): { readonly directory: string; readonly record: SharedAttachment }[] {
  return listAttachments().flatMap(({ directory, record }) =>
    isStrongswan(record) && isShared(record) ? [{ directory, record }] : [],
  );
}

/** Name of a pod's connection and of its key in the node's charon. Pure. */
export function tunnelName({ containerID, ifname }: AttachmentKey): string {
  return `${PREFIX}${fnv1a64(`${containerID}+${ifname}`)}`;
}

/** Whether a connection of the node's charon is a pod's. Pure. */
export function isTunnelName(name: string): boolean {
  return name.startsWith(PREFIX);
}

const PREFIX = "pod-";

/** Takes the lock on the node's charon; makes its directory. @throws Fault 11. */
export async function lockNodeCharon(): Promise<Lock> {
  const lock = await lockDirectory(NODE_CHARON_DIRECTORY, { create: true, wait: LOCK_WAIT });
  if (lock === undefined) throw new Fault(Code.internal, `${NODE_CHARON_DIRECTORY} was not made`, "report this");
  return lock;
}

/**
 * The same; undefined when there is no such directory, and so no charon.
 * @param options `shared`: beside others who take single pods away, but not while all tunnels are brought up again.
 * @throws Fault 11.
 */
export function lockNodeCharonIfAny(options: { readonly shared?: true } = {}): Promise<Lock | undefined> {
  return lockDirectory(NODE_CHARON_DIRECTORY, { ...options, create: false, wait: LOCK_WAIT });
}

/**
 * Keeps a pod's PSK in its attachment's directory, root's alone, in memory, gone with the attachment: a charon that is
 * started again needs it, and is started by a call for another pod, perhaps of another network. @throws Fault 5.
 */
export function keepPsk(directory: string, psk: Secret): void {
  writeAtomic(`${directory}/${PSK_FILE}`, psk.reveal());
}

/** The PSK that was kept; undefined when it has gone. @throws Fault 5. */
export function keptPsk(directory: string): Secret | undefined {
  const file = readSecretFile(`${directory}/${PSK_FILE}`);
  return file === undefined || file.bytes.length === 0 ? undefined : new Secret(file.bytes);
}

/** From now on nobody brings the pod's tunnel up again. @throws Fault 5. */
export function forgetPsk(directory: string): void {
  removeTree(`${directory}/${PSK_FILE}`);
}

const PSK_FILE = "psk";
