import { listAttachments, PODS_DIRECTORY, readAttachment, type WireguardAttachment } from "../attachment/record.ts";
import { DEVICES_DIRECTORY, deviceDirectory, readDeviceRecord } from "../node/record.ts";
import { listDirectory } from "../os/file.ts";
import { type AgentView, isAgentHealthy, viewAgent } from "./agent.ts";
import { type AttachmentView, viewAttachment } from "./attachments.ts";
import { isBusy } from "./busy.ts";
import { type DeviceRef, type DeviceView, listDevices, problemOf, readDevice } from "./devices.ts";
import { firewallsOf, missingOfDeviceGuard, silence } from "./health.ts";
import { type NodeCharonView, viewNodeCharon } from "./node-charon.ts";

/** How this node is. */
export interface Status {
  /** Absent on a node without one. */
  readonly agent?: AgentView;
  readonly attachments: readonly AttachmentView[];
  readonly devices: readonly DeviceView[];
  /** Absent when no pod needs it. */
  readonly charon?: NodeCharonView;
  /** Records of podvpn's that cannot be read, in words. */
  readonly damage: readonly string[];
}

/**
 * Looks at all that is attached to this node, at its WireGuard devices, and asks its agent. However many hang, it takes a few seconds.
 * @throws Fault 5 when the records cannot be listed.
 */
export async function readStatus(now: number): Promise<Status> {
  const refs = listDevices();
  const [agent, found] = await Promise.all([viewAgent(), inParts(refs, (ref) => viewDevice(ref, now))]);
  const devices = found.filter((view) => view !== undefined);
  const charon = await viewNodeCharon();
  const surroundings = { charon, deviceProblems: (user: WireguardAttachment) => problemsFor(user, devices) };
  const records = listAttachments().map(({ record }) => record);
  const views = await inParts(records, (record) => viewAttachment(record, surroundings));
  return {
    ...(agent === undefined ? {} : { agent }),
    attachments: views.filter((view) => view !== undefined),
    devices,
    ...(charon === undefined ? {} : { charon }),
    damage: damagedRecords(),
  };
}

/** Whether all works: the agent is well, nothing attached is down, no device and not the node's charon has a problem, no record is damaged. Pure. */
export function isHealthy({ agent, attachments, devices, charon, damage }: Status): boolean {
  const parts = [...attachments, ...devices, ...(charon === undefined ? [] : [charon])];
  const broken = parts.some(({ problems }) => problems.length > 0);
  return !broken && damage.length === 0 && (agent === undefined || isAgentHealthy(agent));
}

/** What is wrong for an attachment with the device that it uses; the device itself tells more. Pure. */
export function problemsFor(user: WireguardAttachment, devices: readonly DeviceView[]): string[] {
  const device = devices.find(({ ref }) => {
    if (ref.of === "node") return user.own === undefined && ref.record.interface === user.interface;
    return ref.record.containerID === user.containerID && ref.record.ifname === user.ifname;
  });
  if (device === undefined) return [`there is no device ${user.interface}`];
  return device.problems.length === 0 ? [] : [`its device ${user.interface} does not work`];
}

/** Undefined for one that an ADD is making at this moment. */
async function viewDevice(ref: DeviceRef, now: number): Promise<DeviceView | undefined> {
  const [read, guard, hints] = await Promise.all([
    readDevice(ref),
    missingOfDeviceGuard({ ref }),
    firewallsOf({ ref }),
  ]);
  const view = { ...read, problems: [...read.problems, ...guard, ...silence(read, now)], hints };
  if (ref.of === "pod") return ref.record.phase === "ready" ? view : undefined; // the pod itself tells then
  const isNew = !ref.record.complete && view.problems.length > 0;
  return isNew && (await isBusy(deviceDirectory(ref.record.interface))) ? undefined : view;
}

/** At once: each may have some sockets open. */
const AT_ONCE = 100;

async function inParts<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let start = 0; start < items.length; start += AT_ONCE) {
    results.push(...(await Promise.all(items.slice(start, start + AT_ONCE).map(work))));
  }
  return results;
}

function damagedRecords(): string[] {
  const readers: (() => unknown)[] = [
    ...listDirectory(PODS_DIRECTORY).map((name) => () => readAttachment(`${PODS_DIRECTORY}/${name}`)),
    ...listDirectory(DEVICES_DIRECTORY).map((name) => () => readDeviceRecord(name)),
  ];
  return readers.flatMap((read) => {
    try {
      read();
      return [];
    } catch (error) {
      return [problemOf(error)];
    }
  });
}
