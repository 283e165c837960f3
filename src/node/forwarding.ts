import { obstacleText } from "../forwarding/obstacles.ts";
import { openForwarding } from "../forwarding/open.ts";
import { applySysctls, mergedSysctls, meshSysctls, type SysctlChange } from "../forwarding/sysctl.ts";
import { type Family, family } from "../net/address.ts";
import { aggregate } from "../net/aggregate.ts";
import type { Prefix } from "../net/prefix.ts";
import { listLinks } from "../netlink/links.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { listRoutes } from "../netlink/routes.ts";
import { ensureTableAs } from "../nftables/apply.ts";
import { lockDirectory } from "../os/lock.ts";
import { readSysctl } from "../os/sysctl.ts";
import { applyRouteDifference, routeDifference } from "./differences.ts";
import { meshRefusals, PROTOCOL_MESH, recordedTable } from "./plan.ts";
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
 * firewall where it drops by default; and lets packets from the mesh keep their source on their way to the pods. What
 * is changed is on disk before it is.
 * @returns What is still in the way, in words with the command that mends it. @throws Fault 102, NetlinkError.
 */
export async function openNode(nl: Netlink, request: OpenRequest): Promise<string[]> {
  const { device, podInterface, subnets } = request;
  using lock = await lockDirectory(deviceDirectory(device), { create: false, wait: DEVICE_LOCK_WAIT });
  const record = lock === undefined ? undefined : readDeviceRecord(device);
  if (record === undefined) return []; // removed in between: whoever did so does not want it open
  const podInterfaces = podInterface === undefined ? [] : [podInterface];
  const changes = await neededSysctls(nl, { devices: [device], podInterfaces, subnets });
  const podSubnets = aggregate([...record.podSubnets, ...subnets]);
  const isNew = podSubnets.join() !== record.podSubnets.join();
  const next = { ...record, podSubnets, sysctls: mergedSysctls(record.sysctls, changes) };
  if (isNew || changes.length > 0) writeDeviceRecord(next);
  applySysctls(changes);
  if (isNew) {
    // Known only now, from a DHCP server or another plugin; else they were guarded before the device was there.
    await ensureTableAs(recordedTable(next));
    const refused = await listRoutes(nl, { protocol: PROTOCOL_MESH, type: "unreachable" });
    await applyRouteDifference(nl, { add: routeDifference(meshRefusals(next), refused).add, remove: [] });
  }
  return (await openForwarding({ device, subnets })).map(obstacleText);
}

/** Between whom the node shall forward, for all pods and devices at once. */
export interface ForwardingNeeds {
  /** Of the tunnel. */
  readonly devices: readonly string[];
  /** Where the pods' packets come from; empty where that is not known. */
  readonly podInterfaces: readonly string[];
  /** Of the pods. */
  readonly subnets: readonly Prefix[];
}

/** What of the kernel's settings has to change for it; nothing where all is so already. @throws NetlinkError. */
export async function neededSysctls(nl: Netlink, needs: ForwardingNeeds): Promise<SysctlChange[]> {
  const { devices, podInterfaces, subnets } = needs;
  const families = [...new Set(subnets.map((subnet): Family => family(subnet)))];
  const interfaces = families.includes(6) ? (await listLinks(nl)).map(({ name }) => name) : [];
  const request = { families, interfaces, read: readSysctl };
  const all = devices.flatMap((device) => [
    ...meshSysctls({ ...request, device }),
    ...podInterfaces.flatMap((podInterface) => meshSysctls({ ...request, device, podInterface })),
  ]);
  return [...new Map(all.map((change) => [change.key, change])).values()];
}
