import { Code, Fault } from "../fault.ts";

/** A packet of a capture, as far as it was kept. */
export interface CapturedFrame {
  /** Milliseconds since 1970, with fractions. */
  readonly time: number;
  /** LINKTYPE_… of tcpdump.org: 1 is Ethernet. */
  readonly linkType: number;
  /** The first bytes of it. Valid only until the next chunk is read. */
  readonly bytes: Buffer;
  /** How many bytes it had on the link. */
  readonly length: number;
}

/**
 * Reads a pcap file (draft-ietf-opsawg-pcap) while it is written, in chunks of any size. It keeps no more than one
 * packet that is not whole yet.
 */
export class PcapReader {
  #rest: Buffer = Buffer.alloc(0);
  #header: Header | undefined;

  /** The packets that are whole with this chunk. @throws Fault 5 for what is no pcap file. */
  *read(chunk: Buffer): Generator<CapturedFrame> {
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    if (this.#header === undefined && data.length >= GLOBAL_HEADER) {
      this.#header = readHeader(data);
      at = GLOBAL_HEADER;
    }
    for (const header = this.#header; header !== undefined && at + RECORD_HEADER <= data.length; ) {
      const kept = header.u32(data, at + 8);
      if (kept > LONGEST) throw damaged(`a packet of ${kept} bytes`);
      const end = at + RECORD_HEADER + kept;
      if (end > data.length) break;
      yield {
        time: header.u32(data, at) * 1000 + header.u32(data, at + 4) / header.perMillisecond,
        linkType: header.linkType,
        bytes: data.subarray(at + RECORD_HEADER, end),
        length: header.u32(data, at + 12),
      };
      at = end;
    }
    this.#rest = at === data.length ? NOTHING : Buffer.from(data.subarray(at));
  }
}

interface Header {
  readonly linkType: number;
  /** Parts of a second, in which times are counted, that make a millisecond. */
  readonly perMillisecond: number;
  u32(data: Buffer, offset: number): number;
}

/** Written in the byte order of the writer; the magic number tells it, and the unit of time. */
function readHeader(data: Buffer): Header {
  const little = (from: Buffer, offset: number) => from.readUInt32LE(offset);
  const big = (from: Buffer, offset: number) => from.readUInt32BE(offset);
  for (const u32 of [little, big]) {
    const perMillisecond = UNITS.get(u32(data, 0));
    // The upper bits of the link type are for a length of the frame check sequence.
    if (perMillisecond !== undefined) return { perMillisecond, u32, linkType: u32(data, 20) & 0xffff };
  }
  throw damaged(`the magic number 0x${data.toString("hex", 0, 4)}`);
}

/** By magic number: microseconds, nanoseconds. */
const UNITS: ReadonlyMap<number, number> = new Map([
  [0xa1b2c3d4, 1000],
  [0xa1b23c4d, 1_000_000],
]);

const GLOBAL_HEADER = 24;
const RECORD_HEADER = 16;
const NOTHING = Buffer.alloc(0);

/** MAXIMUM_SNAPLEN of libpcap, in bytes: what says more is out of step. */
const LONGEST = 262_144;

function damaged(what: string): Fault {
  return new Fault(Code.io, `tcpdump wrote ${what}`, "see that the tcpdump in PATH is tcpdump.org's");
}
