import type { BridgeConfig } from "../../src/attachment/bridge.ts";
import { type LinkCall, removeLink, removeMasquerade } from "../../src/attachment/link.ts";
import { type AttachmentKey, recordFile, type WireguardAttachment } from "../../src/attachment/record.ts";
import type { Call } from "../../src/cni/dispatch.ts";
import { openRoute } from "../../src/netlink/open.ts";
import { releaseNodeDevice } from "../../src/node/remove.ts";
import { removeTree } from "../../src/os/file.ts";
import { inNetns, type Netns, openNetnsIfPresent } from "../../src/os/namespace.ts";
import { trace } from "../../src/os/trace.ts";
import { Attempts } from "../../src/together.ts";
import { removePodRoutes } from "./pod-routes.ts";

/** What is to be removed, and how a delegate is called for it. */
export interface Removal extends AttachmentKey {
  readonly call: Call;
  readonly directory: string;
  /** What ADD noted; undefined after a reboot, or when a full disk or a crash kept it from being written. */
  readonly record: WireguardAttachment | undefined;
  /** The bridge's configuration to fall back on without a record; absent in a chain. */
  readonly bridge?: BridgeConfig;
  /** The node's device to fall back on without a record. */
  readonly device?: string;
  readonly netns: string | undefined;
  readonly args: string | undefined;
  readonly lockFd?: number;
  /** For an ADD that clears away what a killed one left, and goes on in the same, locked directory. */
  readonly keepDirectory?: true;
}

/**
 * Removes an attachment: the device of its own, the link with its IPAM address, and last the record, so that what failed
 * can be tried again; then the node's device, if the configuration says that it goes with its last pod. Needs no
 * namespace, no key and no record.
 * @throws Fault, or AggregateError of several; the rest has been removed all the same.
 */
export async function removeAttachment(removal: Removal): Promise<void> {
  const { directory, record } = removal;
  using netns = openNetnsIfPresent(removal.netns ?? record?.netns);
  const attempts = new Attempts();
  if (record?.own !== undefined) {
    const { own } = record;
    const { removeOwnDevice } = await import("./own-device.ts");
    await attempts.try(() => removeOwnDevice({ directory, netns, own, name: record.interface }));
    trace("device removed");
  }
  const delegated = record === undefined ? removal.bridge : record.delegate;
  const link = delegated === undefined ? leaveLink(removal, netns) : removeLink(linkCall(removal), delegated, netns);
  await Promise.all([attempts.try(() => link), attempts.try(() => removeMasquerade(removal))]);
  trace("link removed");
  attempts.finish("several parts of the attachment could not be removed");
  if (removal.keepDirectory) removeTree(recordFile(directory));
  else removeTree(directory);
  const device = record?.interface ?? removal.device;
  if (record?.own !== undefined || device === undefined) return;
  using nl = openRoute();
  await releaseNodeDevice(nl, device);
}

/** In a chain the link stays, another plugin's. */
async function leaveLink({ ifname, record }: Removal, netns: Netns | undefined): Promise<void> {
  if (netns === undefined || record === undefined) return;
  using pod = inNetns(netns, openRoute);
  await removePodRoutes(pod, ifname, record.podRoutes);
}

function linkCall({ call, containerID, ifname, record, args, lockFd }: Removal): LinkCall {
  return { call, containerID, ifname, args: record?.args ?? args, ...(lockFd === undefined ? {} : { lockFd }) };
}
