import { type Address, addressFromBytes } from "../net/address.ts";
import { type Criteria, classify, neighbourTarget, type PacketKind, ports } from "./classify.ts";
import { type Packet, parseFrame } from "./frame.ts";
import type { CapturedFrame } from "./pcap.ts";

/** A packet that went in plain: what is in its headers, never what it carries. */
export interface PlainPacket {
  /** Milliseconds since 1970, with fractions. */
  readonly time: number;
  /** The link that it was seen on. */
  readonly interface: string;
  /** IDs of its VLAN tags, the outer first. */
  readonly vlans: readonly number[];
  readonly source: Address;
  readonly destination: Address;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  /** "TCP", "ARP", …; "protocol 132" for one without a name here. */
  readonly protocol: string;
  /** The address that neighbour discovery asks for or tells of. */
  readonly target?: Address;
  /** In bytes, with the link's header. */
  readonly length: number;
}

export interface Count {
  packets: number;
  /** With the link's headers. */
  bytes: number;
}

/** How many packets of which kind a capture has had, and the first that were plain. */
export class Tally {
  readonly counts: Record<Exclude<PacketKind, "other">, Count> = {
    wireguard: { packets: 0, bytes: 0 },
    esp: { packets: 0, bytes: 0 },
    espInUdp: { packets: 0, bytes: 0 },
    signalling: { packets: 0, bytes: 0 },
    plain: { packets: 0, bytes: 0 },
  };
  readonly firstPlain: PlainPacket[] = [];

  /** @param most How many plain packets are kept. */
  constructor(
    private readonly criteria: Criteria,
    private readonly most: number,
  ) {}

  /** Counts a frame. @returns The packet, when it is one of the first plain ones. */
  add(link: string, frame: CapturedFrame): PlainPacket | undefined {
    const packet = parseFrame(frame.linkType, frame.bytes);
    const kind = packet === undefined ? "other" : classify(packet, this.criteria);
    if (packet === undefined || kind === "other") return undefined;
    const count = this.counts[kind];
    count.packets += 1;
    count.bytes += frame.length;
    if (kind !== "plain" || this.firstPlain.length >= this.most) return undefined;
    const plain = plainPacket(link, frame, packet);
    this.firstPlain.push(plain);
    return plain;
  }

  /** Of all kinds that carry traffic encrypted. */
  get encrypted(): Count {
    const { wireguard, esp, espInUdp } = this.counts;
    return {
      packets: wireguard.packets + esp.packets + espInUdp.packets,
      bytes: wireguard.bytes + esp.bytes + espInUdp.bytes,
    };
  }
}

/** What a capture proves: that all went encrypted, that some did not, or nothing. */
export type Verdict = "encrypted" | "plain" | "nothing" | "incomplete";

/**
 * One plain packet is enough. Without any traffic nothing is proved, nor when packets were lost before they were looked
 * at. Pure. @param dropped How many were lost.
 */
export function verdictOf(tally: Pick<Tally, "counts" | "encrypted">, dropped: number): Verdict {
  if (tally.counts.plain.packets > 0) return "plain";
  if (dropped > 0) return "incomplete";
  return tally.encrypted.packets > 0 ? "encrypted" : "nothing";
}

function plainPacket(link: string, { time, length }: CapturedFrame, packet: Packet): PlainPacket {
  const { vlans } = packet;
  const source = addressFromBytes(packet.source);
  const destination = addressFromBytes(packet.destination);
  const base = { time, interface: link, vlans, source, destination, length };
  if (packet.family === "arp") return { ...base, protocol: "ARP" };
  const found = ports(packet);
  const target = neighbourTarget(packet);
  return {
    ...base,
    protocol: PROTOCOLS.get(packet.protocol) ?? `protocol ${packet.protocol}`,
    ...(found !== undefined && { sourcePort: found.source, destinationPort: found.destination }),
    ...(target !== undefined && { target: addressFromBytes(target) }),
  };
}

/** IANA, "Assigned Internet Protocol Numbers": those that are met. */
const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [1, "ICMP"],
  [2, "IGMP"],
  [4, "IPv4-in-IP"],
  [6, "TCP"],
  [17, "UDP"],
  [41, "IPv6-in-IP"],
  [47, "GRE"],
  [50, "ESP"],
  [51, "AH"],
  [58, "ICMPv6"],
  [89, "OSPF"],
  [132, "SCTP"],
]);
