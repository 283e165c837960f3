import type { Netns } from "../os/namespace.ts";
import { attribute, nest, nested, optional, parseAttributes, u32Of } from "./attributes.ts";
import { concat, cString, readCString, readI32, readU32, u8, u16, u32, zeros } from "./bytes.ts";
import { unless } from "./error.ts";
import { type Message, NLM_F_CREATE, NLM_F_EXCL } from "./message.ts";
import type { Netlink } from "./netlink.ts";

/** A network device as the kernel has it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** In bytes. */
  readonly mtu: number;
  /** IFF_UP: set up by the administrator; says nothing about the carrier. */
  readonly up: boolean;
  /** Link-layer address, `aa:bb:cc:dd:ee:ff`; empty for a TUN device. */
  readonly address: string;
  /** Index of the bridge that it is a port of. */
  readonly master?: number;
  /** "bridge", "veth", "tun", "wireguard", …; absent for hardware and loopback. */
  readonly kind?: string;
  /** The administrator's number for a set of links (`ip link show group N`); absent for 0, the default. */
  readonly group?: number;
  /** Free text of the administrator; absent when there is none. */
  readonly alias?: string;
  /** Index of the veth peer or the lower device, perhaps in another namespace. */
  readonly linkIndex?: number;
  /** Of an XFRM interface: what its policies and security associations are marked with. */
  readonly ifId?: number;
}

/** A link to be made. It is made down: the kernel cannot set a veth up before it has its peer (ENOTCONN). */
export type NewLink = {
  readonly name: string;
  /** `aa:bb:cc:dd:ee:ff`. A bridge without one takes the lowest of its ports', and changes it with them. */
  readonly address?: string;
  /** In bytes; of a veth both ends'. */
  readonly mtu?: number;
  /** See {@link Link.group}: the one mark of its maker that a link has from its first moment on, and keeps when moved. */
  readonly group?: number;
} & (
  | { readonly kind: "bridge" | "dummy" | "wireguard" }
  | { readonly kind: "veth"; readonly peer: string }
  /** `ifId`: not 0, and no other's that was made in this namespace, wherever that has been moved to (else EEXIST). */
  | { readonly kind: "xfrm"; readonly ifId: number }
);

/** The link of that name (at most 15 bytes) or index, or undefined. @throws NetlinkError */
export async function getLink(nl: Netlink, nameOrIndex: string | number): Promise<Link | undefined> {
  const byName = typeof nameOrIndex === "string";
  const body = concat(
    linkHeader({ index: byName ? 0 : nameOrIndex }),
    optional(IFLA_IFNAME, byName ? nameOrIndex : undefined, cString),
    attribute(IFLA_EXT_MASK, u32(SKIP_STATISTICS)),
  );
  const answer = await unless(nl.get(RTM_GETLINK, body, `read the link ${nameOrIndex}`), "ENODEV");
  return answer && parseLink(answer);
}

/** All links of the namespace, by index. @throws NetlinkError */
export async function listLinks(nl: Netlink): Promise<Link[]> {
  const body = concat(linkHeader({}), attribute(IFLA_EXT_MASK, u32(SKIP_STATISTICS)));
  return (await nl.dump(RTM_GETLINK, body, "list the links")).map(parseLink);
}

/** @throws NetlinkError EEXIST when the name, or a veth's peer name, is taken; nothing is made then. */
export async function addLink(nl: Netlink, link: NewLink): Promise<void> {
  const mtu = optional(IFLA_MTU, link.mtu, u32);
  const body = concat(
    linkHeader({}),
    attribute(IFLA_IFNAME, cString(link.name)),
    optional(IFLA_ADDRESS, link.address, macBytes),
    mtu,
    optional(IFLA_GROUP, link.group, u32),
    nest(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, cString(link.kind)), linkData(link, mtu)),
  );
  await nl.change(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, `add the ${link.kind} ${link.name}`);
}

function linkData(link: NewLink, mtu: Uint8Array): Uint8Array {
  if (link.kind === "veth") {
    const peer = nest(VETH_INFO_PEER, linkHeader({}), attribute(IFLA_IFNAME, cString(link.peer)), mtu);
    return nest(IFLA_INFO_DATA, peer);
  }
  // Without IFLA_XFRM_LINK: the way of the encrypted packets is asked of the routes.
  return link.kind === "xfrm" ? nest(IFLA_INFO_DATA, attribute(IFLA_XFRM_IF_ID, u32(link.ifId))) : zeros(0);
}

/** What of a link can be set. */
export interface LinkSettings {
  /** At most 15 bytes. Of a link that is up older kernels (6.1) refuse to change it (EBUSY). */
  readonly name?: string;
  readonly up?: boolean;
  readonly mtu?: number;
  /** An empty one takes it away. When a link is made the kernel passes over it (6.18), without a word. */
  readonly alias?: string;
}

/**
 * Sets what is given and leaves the rest; a no-op when it is so already.
 * @throws NetlinkError ENODEV; EEXIST when another link has the name; what the driver says to going up, such as
 * EADDRINUSE for a WireGuard link whose port is taken.
 */
export async function setLink(nl: Netlink, index: number, wanted: LinkSettings): Promise<void> {
  const { name, mtu, alias } = wanted;
  const body = concat(
    linkHeader({ index, ...wanted }),
    optional(IFLA_IFNAME, name, cString),
    optional(IFLA_MTU, mtu, u32),
    optional(IFLA_IFALIAS, alias, (text) => Buffer.from(text)),
  );
  await nl.change(RTM_NEWLINK, 0, body, `set link ${index} to ${JSON.stringify(wanted)}`);
}

/**
 * Moves a link into another network namespace and renames it there. It arrives down, without addresses and routes, and
 * with its index unless that is taken.
 * @throws NetlinkError EEXIST when the name is taken there: then the link has been moved all the same, under the name
 * that it had (with both names taken it stays); ENODEV; EINVAL for a link that cannot be moved, as a bridge.
 */
export async function moveLink(
  nl: Netlink,
  index: number,
  { netns, name }: { readonly netns: Netns; readonly name: string },
): Promise<void> {
  const body = concat(
    linkHeader({ index }),
    attribute(IFLA_NET_NS_FD, u32(netns.fd)),
    attribute(IFLA_IFNAME, cString(name)),
  );
  await nl.change(RTM_NEWLINK, 0, body, `move link ${index} to ${netns.path} as ${name}`);
}

/** A veth's peer goes with it. @throws NetlinkError ENODEV */
export async function deleteLink(nl: Netlink, index: number): Promise<void> {
  await nl.change(RTM_DELLINK, 0, linkHeader({ index }), `delete link ${index}`);
}

/** struct ifinfomsg and attributes (linux/if_link.h). */
function parseLink({ body }: Message): Link {
  const attributes = parseAttributes(body.subarray(IFINFOMSG));
  const info = nested(attributes, IFLA_LINKINFO);
  const kind = readCString(info.get(IFLA_INFO_KIND) ?? zeros(0));
  const ifId = kind === "xfrm" ? u32Of(nested(info, IFLA_INFO_DATA), IFLA_XFRM_IF_ID) : undefined;
  const master = u32Of(attributes, IFLA_MASTER);
  const linkIndex = u32Of(attributes, IFLA_LINK);
  const group = u32Of(attributes, IFLA_GROUP) ?? 0;
  const alias = readCString(attributes.get(IFLA_IFALIAS) ?? zeros(0));
  return {
    index: readI32(body, 4),
    name: readCString(attributes.get(IFLA_IFNAME) ?? zeros(0)),
    mtu: u32Of(attributes, IFLA_MTU) ?? 0,
    up: (readU32(body, 8) & IFF_UP) !== 0,
    address: macText(attributes.get(IFLA_ADDRESS) ?? zeros(0)),
    ...(master !== undefined && { master }),
    ...(kind !== "" && { kind }),
    ...(group !== 0 && { group }),
    ...(alias !== "" && { alias }),
    ...(linkIndex !== undefined && { linkIndex }),
    ...(ifId !== undefined && { ifId }),
  };
}

/** struct ifinfomsg; `up` undefined changes no flag. */
function linkHeader({ index, up }: { readonly index?: number; readonly up?: boolean | undefined }): Uint8Array {
  return concat(
    u8(0), // AF_UNSPEC
    u8(0),
    u16(0),
    u32(index ?? 0),
    u32(up ? IFF_UP : 0),
    u32(up === undefined ? 0 : IFF_UP), // which flags to change
  );
}

function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(":"), (octet) => Number.parseInt(octet, 16));
}

function macText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

const IFINFOMSG = 16;
const IFF_UP = 1;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
const IFLA_GROUP = 27;
const IFLA_NET_NS_FD = 28;
const IFLA_EXT_MASK = 29;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;
const IFLA_XFRM_IF_ID = 2;
/** RTEXT_FILTER_SKIP_STATS: half of each answer. */
const SKIP_STATISTICS = 8;
