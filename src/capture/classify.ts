import type { IpPacket, Packet } from "./frame.ts";
import type { ScopeTest } from "./scope.ts";

/**
 * What a packet is: encrypted traffic by its kind, what tunnels say among themselves (IKE, handshakes, keep-alives),
 * traffic that should have been encrypted, or none of our business.
 */
export type PacketKind = "wireguard" | "esp" | "espInUdp" | "signalling" | "plain" | "other";

/** What {@link classify} goes by. */
export interface Criteria {
  /** Whether an address must not be seen in plain. */
  readonly isSecret: ScopeTest;
  /** Whether an address is one to which tunnels are known to go. */
  readonly isEndpoint: ScopeTest;
  /** UDP ports of WireGuard, here and of its peers. */
  readonly wireguardPorts: ReadonlySet<number>;
}

/**
 * What the packet is. What has an address that must not be seen is plain, also when it looks encrypted: a program in a
 * pod may use a VPN of its own. Unless it goes to where a tunnel goes: with a wide prefix, the underlay may be in it.
 */
export function classify(packet: Packet, criteria: Criteria): PacketKind {
  const { isSecret, isEndpoint } = criteria;
  if (packet.family === "arp") return isSecret(packet.source) || isSecret(packet.destination) ? "plain" : "other";
  const tunnel = tunnelKind(packet, criteria.wireguardPorts);
  const target = neighbourTarget(packet);
  const secret = isSecret(packet.source) || isSecret(packet.destination) || (target !== undefined && isSecret(target));
  if (!secret) return tunnel ?? "other";
  return tunnel !== undefined && (isEndpoint(packet.source) || isEndpoint(packet.destination)) ? tunnel : "plain";
}

/** The address that a neighbour solicitation or advertisement is about (RFC 4861, sections 4.3 and 4.4). Pure. */
export function neighbourTarget({ family, protocol, payload }: IpPacket): Buffer | undefined {
  if (family !== 6 || protocol !== ICMPV6 || payload === undefined || payload.length < 24) return undefined;
  const type = payload.readUInt8(0);
  return type === NEIGHBOUR_SOLICITATION || type === NEIGHBOUR_ADVERTISEMENT ? payload.subarray(8, 24) : undefined;
}

/** The ports of a UDP or TCP packet; undefined where it has none, or they are not in the capture. Pure. */
export function ports({ protocol, payload }: IpPacket): { source: number; destination: number } | undefined {
  if ((protocol !== UDP && protocol !== TCP) || payload === undefined || payload.length < 4) return undefined;
  return { source: payload.readUInt16BE(0), destination: payload.readUInt16BE(2) };
}

function tunnelKind(packet: IpPacket, wireguardPorts: ReadonlySet<number>): PacketKind | undefined {
  const { protocol, payload } = packet;
  if (protocol === ESP) return "esp";
  if (protocol !== UDP || payload === undefined || payload.length < UDP_HEADER) return undefined;
  const { source, destination } = ports(packet) ?? {};
  if (source === undefined || destination === undefined) return undefined;
  const body = payload.subarray(UDP_HEADER);
  // By the header: the capture keeps only the beginning.
  const length = payload.readUInt16BE(4) - UDP_HEADER;
  if (source === NAT_TRAVERSAL || destination === NAT_TRAVERSAL) return natTraversalKind(body, length);
  if (source === IKE && destination === IKE) return length >= IKE_HEADER ? "signalling" : undefined;
  if (!wireguardPorts.has(source) && !wireguardPorts.has(destination)) return undefined;
  return wireguardKind(body, length);
}

/** RFC 3948, section 2: ESP begins with an SPI that is not zero; IKE with four bytes of zeros; one byte keeps alive. */
function natTraversalKind(body: Buffer, length: number): PacketKind | undefined {
  if (length === 1) return body[0] === 0xff ? "signalling" : undefined;
  if (body.length < 4) return undefined;
  if (body.readUInt32BE(0) === 0) return length >= 4 + IKE_HEADER ? "signalling" : undefined;
  return length >= SHORTEST_ESP ? "espInUdp" : undefined;
}

/** WireGuard's whitepaper, section 5.4: a type of four bytes; three messages of the handshake have one length each. */
function wireguardKind(body: Buffer, length: number): PacketKind | undefined {
  if (body.length < 4) return undefined;
  const type = body.readUInt32LE(0);
  if (type === WIREGUARD_DATA)
    return length > EMPTY_DATA ? "wireguard" : length === EMPTY_DATA ? "signalling" : undefined;
  return HANDSHAKE_LENGTHS.get(type) === length ? "signalling" : undefined;
}

const TCP = 6;
const UDP = 17;
const ESP = 50;
const ICMPV6 = 58;
const UDP_HEADER = 8;
const IKE = 500;
const NAT_TRAVERSAL = 4500;
/** RFC 7296, section 3.1. */
const IKE_HEADER = 28;
/** SPI, sequence number, and a block with its authentication of at least 12 bytes. */
const SHORTEST_ESP = 8 + 4 + 12;
const WIREGUARD_DATA = 4;
/** Header and authentication: a data message that carries nothing keeps a session alive. */
const EMPTY_DATA = 32;
/** Initiation, response, cookie reply. */
const HANDSHAKE_LENGTHS: ReadonlyMap<number, number> = new Map([
  [1, 148],
  [2, 92],
  [3, 64],
]);
const NEIGHBOUR_SOLICITATION = 135;
const NEIGHBOUR_ADVERTISEMENT = 136;
