import { obstacleText } from "../forwarding/obstacles.ts";
import { openForwarding } from "../forwarding/open.ts";
import { applySysctls, mergedSysctls, meshSysctls } from "../forwarding/sysctl.ts";
import { type Family, family } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import { listLinks } from "../netlink/links.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { lockDirectory } from "../os/lock.ts";
import { readSysctl } from "../os/sysctl.ts";
import { DEVICE_LOCK_WAIT, deviceDirectory, readDeviceRecord, writeDeviceRecord } from "./record.ts";

/** Between whom the node shall forward. */
export interface OpenRequest {
  readonly device: string;
  /** The node's end of the pod's link, or its bridge; absent when the pod's address is on no link of the node. */
  readonly podInterface?: string;
  /** Of the pods. */
  readonly subnets: readonly Prefix[];
}

/**
 * Lets the node forward between a pod's link and the device: the kernel's settings, and rules of other people's
 * firewall where it drops by default. What they were before is on disk before they are changed.
 * @returns What is still in the way, in words with the command that mends it. @throws Fault 102, NetlinkError.
 */
export async function openNode(nl: Netlink, request: OpenRequest): Promise<string[]> {
  const { device, podInterface, subnets } = request;
  using lock = await lockDirectory(deviceDirectory(device), { create: false, wait: DEVICE_LOCK_WAIT });
  const record = lock === undefined ? undefined : readDeviceRecord(device);
  if (record === undefined) return []; // removed in between: whoever did so does not want it open
  const families = [...new Set(subnets.map((subnet): Family => family(subnet)))];
  const interfaces = families.includes(6) ? (await listLinks(nl)).map(({ name }) => name) : [];
  const changes = meshSysctls({
    device,
    families,
    interfaces,
    read: readSysctl,
    ...(podInterface === undefined ? {} : { podInterface }),
  });
  if (changes.length > 0) {
    writeDeviceRecord({ ...record, sysctls: mergedSysctls(record.sysctls, changes) });
    applySysctls(changes);
  }
  return (await openForwarding({ device, subnets })).map(obstacleText);
}
