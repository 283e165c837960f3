/** Length of every probe and of every answer, in bytes: who asks gets no more than was sent. */
export const PROBE_LENGTH = 32;

/** A question to a peer. Its answer repeats it, so that nothing has to be kept but what was sent when. */
export interface Probe {
  /** Of the agent's start: one that was started again begins with sequence 0. */
  readonly session: number;
  /** Grows by one with each probe to this peer, modulo 2^32. */
  readonly sequence: number;
  /** The sender's own clock, in microseconds; nobody else reads it. */
  readonly sentAt: bigint;
}

/** What a peer says of a probe. */
export interface Answer extends Probe {
  /** Which probes of the session came: bit n is the probe n before this one. */
  readonly received: number;
  /** What the peer's clock says, in milliseconds since 1970, to a second; absent: it does not tell. */
  readonly clock?: number;
}

export type ProbePacket = ({ readonly type: "probe" } & Probe) | ({ readonly type: "answer" } & Answer);

/**
 * Layout, in network byte order: magic (4 bytes), version (1), type (1), zero (2), session (4), sequence (4),
 * sent at (8), received (4; zero in a probe), clock in seconds since 1970 (4; zero in a probe, or where it is not told).
 */
export function encodeProbePacket(packet: ProbePacket): Uint8Array {
  const bytes = new Uint8Array(PROBE_LENGTH);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC);
  view.setUint8(4, VERSION);
  view.setUint8(5, packet.type === "probe" ? TYPE_PROBE : TYPE_ANSWER);
  view.setUint32(8, packet.session);
  view.setUint32(12, packet.sequence);
  view.setBigUint64(16, packet.sentAt);
  if (packet.type === "answer") {
    view.setUint32(24, packet.received);
    view.setUint32(28, Math.round((packet.clock ?? 0) / 1000));
  }
  return bytes;
}

/** The packet in these bytes; undefined for whatever is none, or is of another version. */
export function decodeProbePacket(bytes: Uint8Array): ProbePacket | undefined {
  if (bytes.length !== PROBE_LENGTH) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== MAGIC || view.getUint8(4) !== VERSION) return undefined;
  const common = { session: view.getUint32(8), sequence: view.getUint32(12), sentAt: view.getBigUint64(16) };
  const type = view.getUint8(5);
  if (type === TYPE_PROBE) return { type: "probe", ...common };
  if (type === TYPE_ANSWER) {
    const clock = view.getUint32(28) * 1000;
    return { type: "answer", ...common, received: view.getUint32(24), ...(clock > 0 && { clock }) };
  }
  return undefined;
}

/** "PVPB" */
const MAGIC = 0x50565042;
const VERSION = 1;
const TYPE_PROBE = 1;
const TYPE_ANSWER = 2;
