import { ViciError } from "vici";
import type { BridgeConfig } from "../../src/attachment/bridge.ts";
import { type LinkCall, removeLink, removeMasquerade } from "../../src/attachment/link.ts";
import { removeStaleRoutes } from "../../src/attachment/node.ts";
import { type AttachmentKey, recordFile, type StrongswanAttachment } from "../../src/attachment/record.ts";
import type { Call } from "../../src/cni/dispatch.ts";
import { removeTunnelRule } from "../../src/guard/tunnel-rule.ts";
import { findCharon, openVici, stopCharon } from "../../src/ipsec/charon.ts";
import { POD_CONNECTION } from "../../src/ipsec/connection.ts";
import { openRoute } from "../../src/netlink/open.ts";
import { NODE_CHARON_DIRECTORY } from "../../src/node/charon/directory.ts";
import { listDirectory, removeTree } from "../../src/os/file.ts";
import { inNetns, type Netns, openNetnsIfPresent } from "../../src/os/namespace.ts";
import { trace } from "../../src/os/trace.ts";
import { Attempts } from "../../src/together.ts";
import { removeVirtualIPs } from "./virtual-ips.ts";

/** What is to be removed, and how a delegate is called for it. */
export interface Removal extends AttachmentKey {
  readonly call: Call;
  readonly directory: string;
  /** What ADD noted; undefined after a reboot, or when a full disk or a crash kept it from being written. */
  readonly record: StrongswanAttachment | undefined;
  /** The bridge's configuration to fall back on without a record; undefined in a chain. */
  readonly bridge: BridgeConfig | undefined;
  /** Whether the configuration asks for masquerading, for want of a record. */
  readonly masquerade: boolean;
  readonly netns: string | undefined;
  readonly args: string | undefined;
  readonly lockFd?: number;
  /** For an ADD that clears away what a killed one left, and goes on in the same, locked directory. */
  readonly keepDirectory?: true;
}

/**
 * Removes an attachment: the tunnel (the hub frees the lease), the link and its IPAM address, rules and routes of the
 * node, and last the record, so that what failed can be tried again; then what the node has for the last pod only. Needs no secret, no hub, no namespace and no
 * record. The guard stays in the namespace until that goes: nothing of the pod may speak in plain on another link.
 * @throws Fault, or AggregateError of several; the rest has been removed all the same.
 */
export async function removeAttachment(removal: Removal): Promise<void> {
  const { directory, record } = removal;
  using netns = openNetnsIfPresent(removal.netns ?? record?.netns);
  const attempts = new Attempts();
  let stop = {};
  const own = record?.shared === undefined;
  const shared = !own || (record === undefined && listDirectory(NODE_CHARON_DIRECTORY).length > 0);
  await attempts.try(async () => {
    if (own) stop = await terminateTunnel(directory); // over the link, which goes next
  });
  if (shared) await attempts.try(() => removeShared(removal, netns));
  trace("tunnel terminated");
  const delegated = record === undefined ? removal.bridge : record.delegate;
  await Promise.all([
    attempts.try(() =>
      delegated === undefined ? leaveLink(removal, netns) : removeLink(linkCall(removal), delegated, netns),
    ),
    attempts
      .try(async () => {
        if (!own) return;
        await stopCharon(directory, stop);
        trace("charon stopped");
        await leaveNoRule(record, netns);
        if (record?.dataPlane !== "kernel" || netns === undefined) return;
        await (await import("./leave-no-esp.ts")).leaveNoEsp(record, netns);
      })
      .then(() =>
        // After that: the kernel takes its time (RCU) inside our own system call, and the bridge shall have begun.
        attempts.try(async () => {
          if (record?.masquerade ?? removal.masquerade) await removeMasquerade(removal);
          trace("masquerading removed");
        }),
      ),
  ]);
  attempts.finish("several parts of the attachment could not be removed");
  if (removal.keepDirectory) removeTree(recordFile(directory));
  else removeTree(directory);
  trace("all but the node's routes removed");
  using nl = openRoute();
  await removeStaleRoutes(nl);
  if (!shared) return;
  const { releaseNodeCharon } = await import("../../src/node/charon/release.ts");
  await releaseNodeCharon();
}

/** What the node's charon, and the kernel, have for the pod. */
async function removeShared({ record, ...key }: Removal, netns: Netns | undefined): Promise<void> {
  const { removeSharedTunnel } = await import("../../src/node/charon/release.ts");
  await removeSharedTunnel(key, record?.shared?.ifId);
  if (netns === undefined || record?.shared === undefined) return;
  const { removeDevice } = await import("./xfrm-device.ts");
  using pod = inNetns(netns, openRoute);
  await removeDevice(pod, { ...record, shared: record.shared });
}

/** Milliseconds that a hub gets to acknowledge the DELETE; a dead one must not hold up DEL. */
const TERMINATE_WITHIN = 1000;

/** Ends the IKE SA and then charon, if there is one. A charon that does not answer is killed. @throws Fault 103. */
export async function stopTunnel(directory: string): Promise<void> {
  await stopCharon(directory, await terminateTunnel(directory));
}

/** Milliseconds: a charon without an SA ends in 30, but about one in a hundred (5.9.8) hangs in its shutdown. */
const SILENT_GRACE = 300;

/**
 * Ends the IKE SA, so that the hub frees the lease; no charon, or one that does not answer, is fine.
 * @returns How the charon may then be stopped: one that has no SA any more has nobody to say good-bye to.
 */
async function terminateTunnel(directory: string): Promise<{ readonly grace?: number }> {
  using charon = findCharon(directory);
  if (charon === undefined) return {};
  try {
    await using vici = await openVici(directory, TERMINATE_WITHIN);
    // With a deadline of our own: a charon that hangs does not even tell that the time is over.
    const signal = AbortSignal.timeout(1.5 * TERMINATE_WITHIN);
    await vici.terminate({ ike: POD_CONNECTION, force: true, timeout: TERMINATE_WITHIN, signal });
    return { grace: SILENT_GRACE };
  } catch (error) {
    if (!(error instanceof ViciError)) throw error;
    return {};
  }
}

/** charon takes its rule away itself, unless it was killed. */
async function leaveNoRule(record: StrongswanAttachment | undefined, netns: Netns | undefined): Promise<void> {
  if (record === undefined || netns === undefined) return;
  using pod = inNetns(netns, openRoute);
  await removeTunnelRule(pod, record.rulePriority);
}

/** In a chain the link stays, another plugin's; charon took the virtual IPs from its own device only. */
async function leaveLink({ ifname, record }: Removal, netns: Netns | undefined): Promise<void> {
  if (netns === undefined || record === undefined) return;
  using pod = inNetns(netns, openRoute);
  await removeVirtualIPs(pod, ifname, record.virtualIPs);
}

function linkCall({ call, containerID, ifname, record, args, lockFd }: Removal): LinkCall {
  return { call, containerID, ifname, args: record?.args ?? args, ...(lockFd === undefined ? {} : { lockFd }) };
}
