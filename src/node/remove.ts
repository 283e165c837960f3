import { isWireguard, listAttachments, type WireguardAttachment } from "../attachment/record.ts";
import { closeForwarding } from "../forwarding/close.ts";
import { restoreSysctls } from "../forwarding/sysctl.ts";
import { contains, type Prefix } from "../net/prefix.ts";
import { ensureNoNeighbour, listNeighbours } from "../netlink/neighbours.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { openRoute } from "../netlink/open.ts";
import { ensureNoRoute } from "../netlink/routes.ts";
import { ensureNoRule } from "../netlink/rules.ts";
import { listTables, removeTables } from "../nftables/apply.ts";
import { listDirectory, removeTree } from "../os/file.ts";
import { lockDirectory } from "../os/lock.ts";
import { Attempts } from "../together.ts";
import { removeDevice } from "../wireguard/open.ts";
import { observeNode, ownRoutes, ownRules } from "./observe.ts";
import { meshDeviceOf, meshTableKey } from "./plan.ts";
import { DEVICE_LOCK_WAIT, DEVICES_DIRECTORY, type DeviceRecord, deviceDirectory, readDeviceRecord } from "./record.ts";

/**
 * The pods that are routed through a device of the node.
 * @param except Directory of an attachment that does not count.
 */
export function usersOf(device: string, except?: string): WireguardAttachment[] {
  return listAttachments()
    .filter(({ directory }) => directory !== except)
    .map(({ record }) => record)
    .filter(isWireguard)
    .filter((record) => record.own === undefined && record.interface === device);
}

/**
 * Removes the node's device, its routes, rules and guard, when no pod uses it any more and its configuration says so
 * (`removeWithLastPod`), or no ADD has ever succeeded with it. The record of the pod that goes must be gone already: of
 * two that go at once, the second one then sees that it is the last.
 * @param always Whatever the configuration says.
 * @throws as {@link removeLocked}.
 */
export async function releaseNodeDevice(nl: Netlink, name: string, always = false): Promise<void> {
  using lock = await lockDirectory(deviceDirectory(name), { create: always, wait: DEVICE_LOCK_WAIT });
  if (lock === undefined) return;
  const record = intactRecord(name);
  if (!always && record?.complete === true && !record.removeWithLastPod) return;
  if (usersOf(name).length === 0) await removeLocked(nl, name);
}

/**
 * The WireGuard devices of the node, and how many pods are routed through each.
 * @param byGuard Also those whose directory somebody has cleared away: they are known by their guard.
 */
export async function nodeDevices(byGuard: boolean): Promise<{ readonly name: string; readonly pods: number }[]> {
  // A kernel without nf_tables has no guard, and no device.
  const tables = byGuard ? await listTables().catch((): string[] => []) : [];
  const guarded = tables.map(meshDeviceOf).filter((name) => name !== undefined);
  const names = new Set([...listDirectory(DEVICES_DIRECTORY), ...guarded]);
  return [...names].map((name) => ({ name, pods: usersOf(name).length }));
}

/** Removes a device that no pod uses, whatever its configuration says: `podvpn uninstall`. @throws as {@link removeLocked}. */
export async function removeNodeDevice(name: string): Promise<void> {
  using nl = openRoute();
  await releaseNodeDevice(nl, name, true);
}

/**
 * Removes a device of the node with all around it; what is gone is fine. The guard goes after the device, and the
 * record last, so that what failed can be tried again. The caller holds the device's lock.
 * @throws Fault, or AggregateError of several; the rest has been removed all the same.
 */
export async function removeLocked(nl: Netlink, name: string): Promise<void> {
  const record = intactRecord(name);
  const attempts = new Attempts();
  const observed = await observeNode(nl);
  for (const other of record?.otherDevices ?? []) await attempts.try(() => removeOtherDevice(other));
  await attempts.try(() => removeDevice({ name, directory: deviceDirectory(name) }));
  await attempts.try(() => giveUpWaiting(nl, record?.podSubnets ?? []));
  await attempts.try(async () => {
    for (const rule of ownRules(observed, name)) await ensureNoRule(nl, rule);
    for (const route of ownRoutes(observed, name)) await ensureNoRoute(nl, route);
  });
  await attempts.try(() => removeTables([meshTableKey(name)]));
  await attempts.try(async () => closeForwarding({ device: name }));
  await attempts.try(async () => restoreSysctls(record?.sysctls ?? []));
  attempts.finish(`several parts of the device ${name} could not be removed`);
  removeTree(deviceDirectory(name));
}

/**
 * Removes a device without a record of its own (`otherDevices`), and its routes with it; what is gone is fine.
 * @throws Fault 11 when another call holds it for too long, NetlinkError, Fault of the parts.
 */
export async function removeOtherDevice(name: string): Promise<void> {
  const directory = deviceDirectory(name);
  using lock = await lockDirectory(directory, { create: true, wait: DEVICE_LOCK_WAIT });
  if (lock === undefined || readDeviceRecord(name) !== undefined) return; // it is somebody's by now
  await removeDevice({ name, directory });
  await closeForwarding({ device: name });
  removeTree(directory);
}

/**
 * Gives up what waits for the answer of pods that have gone. A moment later the kernel would do so itself, and tell the
 * senders in the mesh by ICMP, which holds the beginning of their packets: in plain, as there is no guard any more.
 */
export async function giveUpWaiting(nl: Netlink, podSubnets: readonly Prefix[]): Promise<void> {
  for (const neighbour of await listNeighbours(nl)) {
    if (!neighbour.incomplete || !podSubnets.some((subnet) => contains(subnet, neighbour.address))) continue;
    await ensureNoNeighbour(nl, neighbour);
  }
}

/** A damaged record is none: what it told is found in the kernel by its marks. */
function intactRecord(name: string): DeviceRecord | undefined {
  try {
    return readDeviceRecord(name);
  } catch {
    return undefined;
  }
}
