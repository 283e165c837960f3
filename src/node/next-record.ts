import { aggregate } from "../net/aggregate.ts";
import type { DeviceRecord } from "./record.ts";
import { usersOf } from "./remove.ts";
import type { EnsureRequest } from "./request.ts";

/**
 * The record of a device as a request makes it. Guarded is what was, too, as long as there are pods that may still send
 * there: a peer that goes opens nothing.
 */
export function nextRecord(request: EnsureRequest, previous: DeviceRecord | undefined): DeviceRecord {
  const { config, network, podSubnets, attachment } = request;
  const { interface: name, meshPrefixes, table, fwmark, mtu, addresses, removeWithLastPod, peers } = config;
  const before = previous?.guarded ?? [];
  const inUse = before.join() !== meshPrefixes.join() && usersOf(name, attachment).length > 0;
  const names = peers.flatMap(({ publicKey, name: text }) => (text === undefined ? [] : [[publicKey, text] as const]));
  return {
    version: 1,
    interface: name,
    network,
    complete: previous?.complete ?? false,
    dataPlane: previous?.dataPlane ?? "userspace",
    podSubnets: aggregate([...(previous?.podSubnets ?? []), ...podSubnets]),
    guarded: inUse ? aggregate([...meshPrefixes, ...before]) : meshPrefixes,
    ...(table === undefined ? {} : { table }),
    fwmark,
    ...(mtu === undefined ? {} : { mtu }),
    addresses,
    sysctls: previous?.sysctls ?? [],
    removeWithLastPod,
    peerNames: Object.fromEntries(names),
  };
}

/** Whether both refuse the same, in the same routing table, and let it through the same devices. Pure. */
export function sameGuard(one: DeviceRecord, other: DeviceRecord): boolean {
  const devices = ({ otherDevices = [] }: DeviceRecord) => otherDevices.join();
  return one.table === other.table && one.guarded.join() === other.guarded.join() && devices(one) === devices(other);
}

/** Whether the device itself is the same for both, but for key, port and peers. Pure. */
export function sameLink(one: DeviceRecord, other: DeviceRecord): boolean {
  const addresses = ({ addresses: all }: DeviceRecord) => JSON.stringify(all);
  return one.fwmark === other.fwmark && one.mtu === other.mtu && addresses(one) === addresses(other);
}
