import type { Family } from "../net/address.ts";

/** What the headers of a frame tell. All bytes are parts of the frame. */
export type Packet = IpPacket | ArpPacket;

interface PacketBase {
  /** IDs of its 802.1Q tags, the outer first. */
  readonly vlans: readonly number[];
}

/** An IPv4 or IPv6 packet. */
export interface IpPacket extends PacketBase {
  readonly family: Family;
  readonly source: Buffer;
  readonly destination: Buffer;
  /** IANA's number of what comes after IP's own headers; of IPv6 the one where reading them ended. */
  readonly protocol: number;
  /** From that on; absent in all fragments but the first. */
  readonly payload?: Buffer;
}

/** An ARP packet for IPv4 (RFC 826). */
export interface ArpPacket extends PacketBase {
  readonly family: "arp";
  readonly source: Buffer;
  /** The address that is asked for, or answered to. */
  readonly destination: Buffer;
}

/** The packet in a frame; undefined for another protocol, an unknown link type, or one that was cut too short. Pure. */
export function parseFrame(linkType: number, frame: Buffer): Packet | undefined {
  switch (linkType) {
    case ETHERNET:
      return parseEthernet(frame, 12);
    case LINUX_SLL:
      return parseEthernet(frame, 14);
    case LINUX_SLL2: {
      const [type, payload] = [u16(frame, 0), frame.subarray(20)];
      return type === undefined ? undefined : parseNetwork(type, payload, []);
    }
    default:
      return RAW.has(linkType) ? parseIp(frame, []) : undefined;
  }
}

/** LINKTYPE_… of tcpdump.org. */
const ETHERNET = 1;
const LINUX_SLL = 113;
const LINUX_SLL2 = 276;
/** Bare IP: DLT_RAW as it is on Linux, LINKTYPE_RAW, _IPV4 and _IPV6. */
const RAW: ReadonlySet<number> = new Set([12, 101, 228, 229]);

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV6 = 0x86dd;
/** 802.1Q, 802.1ad, and what was used for outer tags before that. */
const ETHERTYPES_VLAN: ReadonlySet<number> = new Set([0x8100, 0x88a8, 0x9100]);
/** More than two tags are hardly ever there; a frame of nothing else must not be read for ever. */
const MOST_TAGS = 8;

/** @param at Offset of the EtherType. */
function parseEthernet(frame: Buffer, at: number): Packet | undefined {
  const vlans: number[] = [];
  let offset = at;
  for (; vlans.length < MOST_TAGS; offset += 4) {
    const type = u16(frame, offset);
    if (type === undefined) return undefined;
    if (!ETHERTYPES_VLAN.has(type)) return parseNetwork(type, frame.subarray(offset + 2), vlans);
    vlans.push((u16(frame, offset + 2) ?? 0) & 0xfff);
  }
  return undefined;
}

function parseNetwork(type: number, bytes: Buffer, vlans: readonly number[]): Packet | undefined {
  if (type === ETHERTYPE_IPV4 || type === ETHERTYPE_IPV6) return parseIp(bytes, vlans);
  return type === ETHERTYPE_ARP ? parseArp(bytes, vlans) : undefined;
}

function parseIp(bytes: Buffer, vlans: readonly number[]): Packet | undefined {
  const version = (bytes[0] ?? 0) >> 4;
  if (version === 4) return parseIpv4(bytes, vlans);
  return version === 6 ? parseIpv6(bytes, vlans) : undefined;
}

/** RFC 791, section 3.1. */
function parseIpv4(bytes: Buffer, vlans: readonly number[]): Packet | undefined {
  if (bytes.length < 20) return undefined;
  const headerLength = 4 * (bytes.readUInt8(0) & 0xf);
  const isFirst = (bytes.readUInt16BE(6) & 0x1fff) === 0;
  return {
    family: 4,
    vlans,
    source: bytes.subarray(12, 16),
    destination: bytes.subarray(16, 20),
    protocol: bytes.readUInt8(9),
    // Without the padding of a short Ethernet frame; 0 is the length of a packet that the network card will segment.
    ...(isFirst && { payload: bytes.subarray(headerLength, bytes.readUInt16BE(2) || undefined) }),
  };
}

/** RFC 8200, sections 3 and 4. */
function parseIpv6(bytes: Buffer, vlans: readonly number[]): Packet | undefined {
  if (bytes.length < IPV6_HEADER) return undefined;
  const packet = { family: 6, vlans, source: bytes.subarray(8, 24), destination: bytes.subarray(24, 40) } as const;
  const end = bytes.readUInt16BE(4) === 0 ? bytes.length : IPV6_HEADER + bytes.readUInt16BE(4);
  let protocol = bytes.readUInt8(6);
  let offset = IPV6_HEADER;
  for (let headers = 0; headers < MOST_HEADERS && EXTENSIONS.has(protocol); headers += 1) {
    if (offset + 8 > bytes.length) return { ...packet, protocol };
    if (protocol === FRAGMENT && (bytes.readUInt16BE(offset + 2) & 0xfff8) !== 0) {
      return { ...packet, protocol: bytes.readUInt8(offset) };
    }
    const length = protocol === FRAGMENT ? 8 : 8 * (bytes.readUInt8(offset + 1) + 1);
    protocol = bytes.readUInt8(offset);
    offset += length;
  }
  return { ...packet, protocol, payload: bytes.subarray(offset, end) };
}

const IPV6_HEADER = 40;
const FRAGMENT = 44;
/** Hop-by-hop options, routing, fragment, destination options. */
const EXTENSIONS: ReadonlySet<number> = new Set([0, 43, FRAGMENT, 60]);
const MOST_HEADERS = 8;

/** Of hardware addresses of any length; protocol addresses are IPv4's. */
function parseArp(bytes: Buffer, vlans: readonly number[]): Packet | undefined {
  if (bytes.length < 8 || bytes.readUInt16BE(2) !== ETHERTYPE_IPV4 || bytes.readUInt8(5) !== 4) return undefined;
  const hardware = bytes.readUInt8(4);
  const sender = 8 + hardware;
  const target = sender + 4 + hardware;
  if (bytes.length < target + 4) return undefined;
  return {
    family: "arp",
    vlans,
    source: bytes.subarray(sender, sender + 4),
    destination: bytes.subarray(target, target + 4),
  };
}

function u16(bytes: Buffer, offset: number): number | undefined {
  return offset + 2 <= bytes.length ? bytes.readUInt16BE(offset) : undefined;
}
