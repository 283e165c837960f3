import { RUN_DIRECTORY } from "../attachment/record.ts";
import { Code, Fault } from "../fault.ts";
import type { SysctlChange } from "../forwarding/sysctl.ts";
import type { XfrmStateKey } from "../netlink/xfrm-states.ts";
import type { Table } from "../nftables/table.ts";
import { readText, writeAtomic } from "../os/file.ts";
import { meshTableKey, recordedTable } from "./plan.ts";
import { type AGENT_NETWORK, type DeviceRecord, listDeviceRecords } from "./record.ts";

/** Of the charon that joins this node with others: its configuration, socket, pid, log, and a {@link MeshRecord}. */
export const MESH_DIRECTORY = `${RUN_DIRECTORY}/mesh`;

/** What a device of the node keeps for itself, whatever kind of tunnel it is. */
export type GuardRecord = Pick<
  DeviceRecord,
  "interface" | "otherDevices" | "network" | "guarded" | "podSubnets" | "table" | "fwmark"
>;

/**
 * What was made for the IPsec between nodes, as far as neither the kernel nor charon can tell. Written before the thing
 * itself is made. Holds no secret.
 */
export interface MeshRecord extends GuardRecord {
  readonly version: 1;
  readonly network: typeof AGENT_NETWORK;
  readonly dataPlane: "kernel" | "userspace";
  /** Kernel settings that were changed, with what they were before. */
  readonly sysctls: readonly SysctlChange[];
  /** Charon was started and does not have its connections yet: it is kept from hearing anybody. */
  readonly isLoading: boolean;
  /** Security associations in the kernel that a charon left which died: nobody will ever take them away. */
  readonly orphans: readonly XfrmStateKey[];
}

/** The record in `directory`; undefined when there is none, or an empty one from a full disk. @throws Fault 5. */
export function readMeshRecord(directory: string): MeshRecord | undefined {
  const text = readText(recordFile(directory));
  if (text === undefined || text === "") return undefined;
  try {
    const record: unknown = JSON.parse(text);
    if (isMeshRecord(record)) return record;
  } catch {
    // told below, with the same remedy
  }
  throw new Fault(Code.io, `${recordFile(directory)} is not a record of this podvpn`, "remove that file");
}

/** @throws Fault 5. */
export function writeMeshRecord(directory: string, record: MeshRecord): void {
  writeAtomic(recordFile(directory), JSON.stringify(record));
}

/** Name of the guard's table of the IPsec between nodes, and of its device with kernel ESP. */
export const MESH_DEVICE = "podvpn-esp0";

/** The nft table of what a device keeps for itself; with IPsec of one name, whatever the device is called. Pure. */
export function tableOfGuard(guard: DeviceRecord | MeshRecord): Table {
  if (!("isLoading" in guard)) return recordedTable(guard);
  const isXfrm = guard.dataPlane === "kernel";
  return { ...recordedTable({ ...guard, isXfrm }), ...meshTableKey(MESH_DEVICE) };
}

/** All that devices of this node keep for themselves: WireGuard's, and the IPsec between nodes. */
export function listGuards(): (DeviceRecord | MeshRecord)[] {
  return [...listDeviceRecords(), ...meshGuard()];
}

function meshGuard(): MeshRecord[] {
  try {
    const record = readMeshRecord(MESH_DIRECTORY);
    return record === undefined ? [] : [record];
  } catch {
    return []; // a damaged one is none, as a damaged record of a device is
  }
}

function recordFile(directory: string): string {
  return `${directory}/mesh.json`;
}

/** Our own file in a directory that only root can write: its version says enough. */
function isMeshRecord(record: unknown): record is MeshRecord {
  return typeof record === "object" && record !== null && "version" in record && record.version === 1;
}
