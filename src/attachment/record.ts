import type { Result } from "../cni/result.ts";
import { Code, Fault } from "../fault.ts";
import type { Address } from "../net/address.ts";
import type { InterfaceAddress, Prefix } from "../net/prefix.ts";
import { listDirectory, readText, writeAtomic } from "../os/file.ts";

/** Where everything lies that lives as long as this boot: a tmpfs on every distribution. */
export const RUN_DIRECTORY = "/run/podvpn";
/** One directory for each attachment; locked while one of them changes what attachments share on the node. */
export const PODS_DIRECTORY = `${RUN_DIRECTORY}/pods`;

/** What CNI knows an attachment by (SPEC 1.1.0: container ID and interface name). */
export interface AttachmentKey {
  readonly containerID: string;
  readonly ifname: string;
}

/** A route of the node to one of its own pods. */
export interface HostRoute {
  readonly dst: Prefix;
  /** The pod's address on the link; absent when it has none of that family: then by neighbour discovery. */
  readonly via?: Address;
  readonly dev: string;
}

/**
 * What one ADD made, as far as neither kernel nor daemons can tell. Written before the thing itself is made, so that
 * a DEL finds all of it whenever the ADD was killed. Holds no secret.
 */
export type Attachment = StrongswanAttachment | WireguardAttachment;

interface AttachmentBase extends AttachmentKey {
  readonly version: 1;
  /** `adding` until the result was complete: what a killed ADD leaves behind. */
  readonly phase: "adding" | "ready";
  /** When the ADD began, in milliseconds since 1970. */
  readonly addedAt: number;
  readonly network: string;
  readonly netns: string;
  /** The bridge's configuration as it was given to ADD; absent in a chain, where the link is another plugin's. */
  readonly delegate?: Readonly<Record<string, unknown>>;
  /** CNI_ARGS of the ADD, for a DEL that nobody called: GC. */
  readonly args?: string;
  readonly masquerade: boolean;
  /** What the link was made as: the bridge's result, or in a chain the prevResult. */
  readonly linkResult?: Result;
}

/** A pod with a tunnel to a hub: by a charon of its own, or by the node's. */
export interface StrongswanAttachment extends AttachmentBase {
  readonly type: "strongswan";
  readonly dataPlane: "kernel" | "userspace";
  readonly virtualSubnets: readonly Prefix[];
  /** What stays outside the tunnel, as the guard was told. */
  readonly excluded: readonly Prefix[];
  readonly virtualIPs: readonly Address[];
  readonly hostRoutes: readonly HostRoute[];
  /** Priority of the routing rule to the tunnel's routes in the pod: a killed charon leaves its own behind. */
  readonly rulePriority: number;
  readonly identity: string;
  /** With `attach: node`: what the node's charon has for the pod. */
  readonly shared?: SharedTunnel;
}

/** A tunnel that the node's charon holds for a pod, and all that it takes to make it again: but for the PSK. */
export interface SharedTunnel {
  /** What the kernel knows the pod's XFRM interface, policies and security associations by. */
  readonly ifId: number;
  /** Name of the XFRM interface in the pod. */
  readonly device: string;
  /** Of the XFRM interface, in bytes. */
  readonly mtu: number;
  /** In the order in which they are asked. */
  readonly servers: readonly [Address, ...Address[]];
  readonly serverID?: string;
  readonly proposals: readonly string[];
  readonly espProposals: readonly string[];
  /** Seconds. */
  readonly dpdDelay: number;
}

/** A pod behind a WireGuard device. */
export interface WireguardAttachment extends AttachmentBase {
  readonly type: "wireguard";
  /** Name of the device: on the node, or in the pod when it has its own. */
  readonly interface: string;
  /** What goes through the device; nothing of it leaves the pod, or the node, in plain. */
  readonly meshPrefixes: readonly Prefix[];
  /** Routes in the pod to `meshPrefixes` by its link, with the tunnel's MTU. */
  readonly podRoutes: readonly PodRoute[];
  readonly removeWithLastPod: boolean;
  /** With `attach: pod`: the device of the pod's own. */
  readonly own?: OwnDevice;
}

/** A route in a pod by its link. */
export interface PodRoute {
  readonly dst: Prefix;
  readonly gateway: Address;
  /** In bytes. */
  readonly mtu: number;
}

/** A WireGuard device that was made for one pod and moved into it. */
export interface OwnDevice {
  /** Its name before it was moved: that of wireguard-go's socket. */
  readonly madeAs: string;
  readonly dataPlane: "kernel" | "userspace";
  /** What stays outside the tunnel, as the guard was told. */
  readonly excluded: readonly Prefix[];
  /** Of its own, by the configuration. */
  readonly addresses: readonly InterfaceAddress[];
  /** The pod's addresses on its link, which stand for those of a family in which the device has none. */
  readonly sources: readonly Address[];
  /** Priority of the rule that leads to the routes of the tunnel. */
  readonly rulePriority: number;
  /** In bytes. */
  readonly mtu: number;
}

/** Whether the record is of the `strongswan` plugin. */
export function isStrongswan(record: Attachment): record is StrongswanAttachment {
  return record.type === "strongswan";
}

/** Whether the record is of the `wireguard` plugin. */
export function isWireguard(record: Attachment): record is WireguardAttachment {
  return record.type === "wireguard";
}

/** Milliseconds to wait for another call for the same attachment: a whole ADD, with a hub that does not answer. */
export const LOCK_WAIT = 60_000;

/** Characters of a long container ID that stay in the name of its directory. */
const ID_KEPT = 40;

/**
 * The directory of an attachment. `+` is in no container ID, so two attachments never share one. charon's socket is
 * in it, and a socket's path has at most 107 bytes (sun_path), so a long container ID is cut and told apart by a hash.
 */
export function attachmentDirectory({ containerID, ifname }: AttachmentKey): string {
  const name = `${containerID}+${ifname}`;
  const short =
    Buffer.byteLength(name) <= 80 ? name : `${containerID.slice(0, ID_KEPT)}+${fnv1a64(containerID)}+${ifname}`;
  return `${PODS_DIRECTORY}/${short}`;
}

/** The record in an attachment's directory; undefined when there is none, or an empty one from a full disk. */
export function readAttachment(directory: string): Attachment | undefined {
  const text = readText(recordFile(directory));
  if (text === undefined || text === "") return undefined;
  try {
    const record: unknown = JSON.parse(text);
    if (isAttachment(record)) return record;
  } catch {
    // told below, with the same remedy
  }
  throw new Fault(
    Code.io,
    `${recordFile(directory)} is not a record of this podvpn`,
    "remove that file; DEL then works from its configuration alone",
  );
}

/** The record, if it is of this kind. A damaged one is none: DEL then goes by its configuration, and removes it. */
export function intactAttachment<A extends Attachment>(
  directory: string,
  mine: (record: Attachment) => record is A,
): A | undefined {
  try {
    const record = readAttachment(directory);
    return record !== undefined && mine(record) ? record : undefined;
  } catch {
    return undefined;
  }
}

/** Writes the record. @throws Fault 5. */
export function writeAttachment(directory: string, record: Attachment): void {
  writeAtomic(recordFile(directory), JSON.stringify(record));
}

/** All attachments of this node, with their directories. Damaged records are left out. */
export function listAttachments(): { readonly directory: string; readonly record: Attachment }[] {
  return attachmentsIn(listDirectory(PODS_DIRECTORY));
}

/** The attachments of one container: of its directories alone, as a node may have a thousand. */
export function attachmentsOf(containerID: string): Attachment[] {
  const prefix = containerID.slice(0, ID_KEPT);
  return attachmentsIn(listDirectory(PODS_DIRECTORY).filter((name) => name.startsWith(prefix)))
    .map(({ record }) => record)
    .filter((record) => record.containerID === containerID);
}

function attachmentsIn(names: readonly string[]): { readonly directory: string; readonly record: Attachment }[] {
  return names.flatMap((name) => {
    const directory = `${PODS_DIRECTORY}/${name}`;
    try {
      const record = readAttachment(directory);
      return record === undefined ? [] : [{ directory, record }];
    } catch {
      return [];
    }
  });
}

/** Path of an attachment's record. */
export function recordFile(directory: string): string {
  return `${directory}/attachment.json`;
}

/** Our own file in a directory that only root can write: its version and type say enough. */
function isAttachment(record: unknown): record is Attachment {
  if (typeof record !== "object" || record === null || !("version" in record && "type" in record)) return false;
  return record.version === 1 && (record.type === "strongswan" || record.type === "wireguard");
}

/** FNV-1a, 64 bit, in 16 hexadecimal digits: tells names apart without loading node:crypto (4 ms). Nobody gains by a collision of their own IDs. */
export function fnv1a64(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, "0");
}
