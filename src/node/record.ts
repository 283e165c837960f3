import { RUN_DIRECTORY } from "../attachment/record.ts";
import { Code, Fault } from "../fault.ts";
import type { SysctlChange } from "../forwarding/sysctl.ts";
import type { InterfaceAddress, Prefix } from "../net/prefix.ts";
import { listDirectory, readText, writeAtomic } from "../os/file.ts";
import { lockDirectory } from "../os/lock.ts";
import type { DataPlane } from "../wireguard/device.ts";

/** One directory for each WireGuard device of the node; locked while it is changed. */
export const DEVICES_DIRECTORY = `${RUN_DIRECTORY}/devices`;

/** Milliseconds: others hold the lock of a device for a few netlink messages, or for names that do not resolve. */
export const DEVICE_LOCK_WAIT = 30_000;

/** Where key files are by default: kept across reboots, as peers know the node by its key. */
export const KEY_DIRECTORY = "/var/lib/podvpn/wireguard";

/** The network of the device that `podvpn agent` has: never the name of a CNI network, which has no spaces. */
export const AGENT_NETWORK = "podvpn agent";

/**
 * What was made for one WireGuard device of the node, as far as the kernel cannot tell. Written before the thing itself
 * is made. Holds no secret.
 */
export interface DeviceRecord {
  readonly version: 1;
  readonly interface: string;
  /** Devices that belong to this one, and have no record of their own: the second one while the agent's key changes. */
  readonly otherDevices?: readonly string[];
  /** The network whose configuration the device has. */
  readonly network: string;
  /** Whether an ADD has succeeded with the device: before, one that fails takes it away whatever the configuration says. */
  readonly complete: boolean;
  readonly dataPlane: DataPlane;
  /** What never leaves the node in plain, and is accepted from the device alone: grows while pods use the device. */
  readonly guarded: readonly Prefix[];
  /** Of the node's pods behind the device. */
  readonly podSubnets: readonly Prefix[];
  /** With the agent's device: what the agent tells all others to be this node's pods'. */
  readonly share?: readonly Prefix[];
  /** Routing table of the mesh's routes; absent: main. */
  readonly table?: number;
  /** Mark of the encrypted packets; 0 is none. */
  readonly fwmark: number;
  /** As configured, in bytes; absent: what fits. */
  readonly mtu?: number;
  /** The device's own. */
  readonly addresses: readonly InterfaceAddress[];
  /** Kernel settings that were changed for the device, with what they were before. */
  readonly sysctls: readonly SysctlChange[];
  readonly removeWithLastPod: boolean;
  /** Names that the configuration gives to peers, by public key. */
  readonly peerNames: Readonly<Record<string, string>>;
}

/** Directory of the device: record, and with the user-space data plane wireguard-go's pid and log. */
export function deviceDirectory(name: string): string {
  return `${DEVICES_DIRECTORY}/${name}`;
}

/** The record of a device; undefined when there is none, or an empty one from a full disk. @throws Fault 5. */
export function readDeviceRecord(name: string): DeviceRecord | undefined {
  const text = readText(recordFile(name));
  if (text === undefined || text === "") return undefined;
  try {
    const record: unknown = JSON.parse(text);
    if (isRecord(record)) return record;
  } catch {
    // told below, with the same remedy
  }
  throw new Fault(Code.io, `${recordFile(name)} is not a record of this podvpn`, "remove that file");
}

/** @throws Fault 5. */
export function writeDeviceRecord(record: DeviceRecord): void {
  writeAtomic(recordFile(record.interface), JSON.stringify(record));
}

/** Notes that an ADD has succeeded with the device. @throws Fault 5, 11. */
export async function completeDeviceRecord(name: string): Promise<void> {
  using lock = await lockDirectory(deviceDirectory(name), { create: false, wait: DEVICE_LOCK_WAIT });
  const record = lock === undefined ? undefined : readDeviceRecord(name);
  if (record !== undefined && !record.complete) writeDeviceRecord({ ...record, complete: true });
}

/** All devices that this node has a readable record of. */
export function listDeviceRecords(): DeviceRecord[] {
  return listDirectory(DEVICES_DIRECTORY).flatMap((name) => {
    try {
      return readDeviceRecord(name) ?? [];
    } catch {
      return [];
    }
  });
}

function recordFile(name: string): string {
  return `${deviceDirectory(name)}/device.json`;
}

/** Our own file in a directory that only root can write: its version says enough. */
function isRecord(record: unknown): record is DeviceRecord {
  return typeof record === "object" && record !== null && "version" in record && record.version === 1;
}
