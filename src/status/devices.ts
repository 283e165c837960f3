import {
  attachmentDirectory,
  isWireguard,
  listAttachments,
  type OwnDevice,
  type WireguardAttachment,
} from "../attachment/record.ts";
import { Fault } from "../fault.ts";
import { getLink } from "../netlink/links.ts";
import { openRoute } from "../netlink/open.ts";
import { type DeviceRecord, deviceDirectory, listDeviceRecords } from "../node/record.ts";
import { inNetns, type Netns, openNetnsIfPresent } from "../os/namespace.ts";
import type { DataPlane, PeerState } from "../wireguard/device.ts";
import type { PublicKey } from "../wireguard/key.ts";
import { publicKeyOf } from "../wireguard/keys.ts";
import { openDevice } from "../wireguard/open.ts";
import { within } from "./within.ts";

/** A WireGuard device of podvpn on this node: one of the node's, or a pod's own. */
export type DeviceRef =
  | { readonly of: "node"; readonly record: DeviceRecord }
  | { readonly of: "pod"; readonly record: WireguardAttachment; readonly own: OwnDevice };

/** A peer as it is: without its preshared key. */
export interface PeerView extends Omit<PeerState, "presharedKey"> {
  readonly hasPresharedKey: boolean;
  /** As the configuration calls it. */
  readonly name?: string;
}

/** What a device is now: without its private key. */
export interface DeviceView {
  readonly ref: DeviceRef;
  /** Its name where it is now. */
  readonly interface: string;
  readonly network: string;
  readonly dataPlane: DataPlane;
  /** Of the interface, in bytes; absent when there is none. */
  readonly mtu?: number;
  /** Whether the interface is up. */
  readonly up: boolean;
  /** Absent: the device has no private key, or does not answer. */
  readonly publicKey?: PublicKey;
  readonly listenPort: number;
  readonly fwmark: number;
  readonly peers: readonly PeerView[];
  /** What of it does not work, in words. */
  readonly problems: readonly string[];
  /** What may keep packets from it though it works, in words: firewalls that others have on the node. */
  readonly hints?: readonly string[];
}

/** Milliseconds for one device: one that hangs must not hide the others. */
const ANSWER = 4000;

/** The devices of the node, and those that pods have for themselves. @throws Fault 5. */
export function listDevices(): DeviceRef[] {
  const nodes = listDeviceRecords().map((record): DeviceRef => ({ of: "node", record }));
  const pods = listAttachments()
    .map(({ record }) => record)
    .filter(isWireguard)
    .flatMap((record): DeviceRef[] => (record.own === undefined ? [] : [{ of: "pod", record, own: record.own }]));
  return [...nodes, ...pods];
}

/** Reads a device. What is wrong with it is told in `problems`: this throws for nothing that a device may be like. */
export async function readDevice(ref: DeviceRef): Promise<DeviceView> {
  const name = ref.record.interface;
  const dataPlane = ref.of === "node" ? ref.record.dataPlane : ref.own.dataPlane;
  const nothing = { up: false, listenPort: 0, fwmark: 0, peers: [] };
  const base = { ...nothing, ref, interface: name, network: ref.record.network, dataPlane };
  try {
    if (ref.of === "node") return { ...base, ...(await observe(ref, undefined)) };
    using netns = openNetnsIfPresent(ref.record.netns);
    if (netns === undefined) return { ...base, problems: ["the namespace of its pod is gone"] };
    return { ...base, ...(await observe(ref, netns)) };
  } catch (error) {
    return { ...base, problems: [problemOf(error)] };
  }
}

/** A failure in one sentence. Pure. */
export function problemOf(error: unknown): string {
  if (error instanceof Fault) return error.what;
  return error instanceof Error ? error.message : String(error);
}

type Observed = Pick<DeviceView, "problems"> & Partial<DeviceView>;

async function observe(ref: DeviceRef, netns: Netns | undefined): Promise<Observed> {
  const name = ref.record.interface;
  const link = await linkOf(name, netns);
  const interface_ = link === undefined ? {} : { mtu: link.mtu, up: link.up };
  const absent = link === undefined ? [`there is no interface ${name}`] : link.up ? [] : [`${name} is down`];
  const who = ref.of === "pod" ? ref.own.madeAs : name;
  const what = await within(ANSWER, `the device ${name}`, readState(ref, who, netns)).catch(problemOf);
  if (typeof what === "string") return { ...interface_, problems: [what] };
  return { ...interface_, ...what, problems: absent };
}

async function readState(
  ref: DeviceRef,
  madeAs: string,
  netns: Netns | undefined,
): Promise<Partial<DeviceView> | string> {
  const { interface: name } = ref.record;
  const directory = ref.of === "node" ? deviceDirectory(name) : attachmentDirectory(ref.record);
  using device = await openDevice({
    name: madeAs,
    directory,
    ...(netns === undefined ? {} : { moved: { netns, name } }),
  });
  if (device === undefined) {
    const dataPlane = ref.of === "node" ? ref.record.dataPlane : ref.own.dataPlane;
    return dataPlane === "userspace" ? `wireguard-go of ${name} does not run` : `the kernel's device ${name} is gone`;
  }
  const { dataPlane } = device;
  const { privateKey, peers, listenPort, fwmark } = await device.read();
  const names = ref.of === "node" ? ref.record.peerNames : {};
  return {
    dataPlane,
    listenPort,
    fwmark,
    ...(privateKey === undefined ? {} : { publicKey: await publicKeyOf(privateKey) }),
    peers: peers.map((peer) => peerView(peer, names)),
  };
}

function peerView({ presharedKey, ...peer }: PeerState, names: Readonly<Record<string, string>>): PeerView {
  const name = names[peer.publicKey];
  return { ...peer, hasPresharedKey: presharedKey !== undefined, ...(name === undefined ? {} : { name }) };
}

async function linkOf(name: string, netns: Netns | undefined) {
  using nl = netns === undefined ? openRoute() : inNetns(netns, openRoute);
  return await getLink(nl, name);
}
