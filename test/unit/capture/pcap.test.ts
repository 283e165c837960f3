import { describe, expect, it } from "vitest";
import { PcapReader } from "../../../src/capture/pcap.ts";
import { readFigures } from "../../../src/capture/tcpdump.ts";

interface Packet {
  readonly seconds: number;
  readonly fraction: number;
  readonly bytes: Buffer;
  readonly length: number;
}

const PACKETS: readonly Packet[] = [
  { seconds: 1_700_000_000, fraction: 250_000, bytes: Buffer.from("first"), length: 5 },
  { seconds: 1_700_000_001, fraction: 500_000, bytes: Buffer.alloc(0), length: 60 },
  { seconds: 1_700_000_002, fraction: 0, bytes: Buffer.alloc(192, 7), length: 1500 },
];

function pcap(packets: readonly Packet[], { magic = 0xa1b2c3d4, big = false, linkType = 1 } = {}): Buffer {
  const u32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    if (big) bytes.writeUInt32BE(value);
    else bytes.writeUInt32LE(value);
    return bytes;
  };
  const header = Buffer.concat([u32(magic), u32(0x00040002), u32(0), u32(0), u32(192), u32(linkType)]);
  const records = packets.map(({ seconds, fraction, bytes, length }) =>
    Buffer.concat([u32(seconds), u32(fraction), u32(bytes.length), u32(length), bytes]),
  );
  return Buffer.concat([header, ...records]);
}

/** All packets, copied: their bytes are valid only until the next chunk. */
function readAll(chunks: readonly Buffer[]) {
  const reader = new PcapReader();
  return chunks.flatMap((chunk) =>
    [...reader.read(chunk)].map((frame) => ({ ...frame, bytes: Buffer.from(frame.bytes).toString("hex") })),
  );
}

const EXPECTED = [
  { time: 1_700_000_000_250, linkType: 1, bytes: Buffer.from("first").toString("hex"), length: 5 },
  { time: 1_700_000_001_500, linkType: 1, bytes: "", length: 60 },
  { time: 1_700_000_002_000, linkType: 1, bytes: "07".repeat(192), length: 1500 },
];

describe("PcapReader", () => {
  it("reads what comes at once", () => {
    expect(readAll([pcap(PACKETS)])).toEqual(EXPECTED);
  });

  it("reads the same whatever the chunks are", () => {
    const file = pcap(PACKETS);
    for (let size = 1; size < file.length; size += 1) {
      const chunks = Array.from({ length: Math.ceil(file.length / size) }, (_, index) =>
        file.subarray(index * size, (index + 1) * size),
      );
      expect(readAll(chunks), `chunks of ${size}`).toEqual(EXPECTED);
    }
  });

  it("reads the other byte order, and nanoseconds", () => {
    expect(readAll([pcap(PACKETS, { big: true })])).toEqual(EXPECTED);
    const nanoseconds = PACKETS.map((packet) => ({ ...packet, fraction: packet.fraction * 1000 }));
    expect(readAll([pcap(nanoseconds, { magic: 0xa1b23c4d })])).toEqual(EXPECTED);
  });

  it("gives the type of the link without what else is in that field", () => {
    expect(readAll([pcap(PACKETS, { linkType: 0x10000000 + 276 })]).map(({ linkType }) => linkType)).toEqual([
      276, 276, 276,
    ]);
  });

  it("keeps a packet that is not whole to itself", () => {
    expect(readAll([pcap(PACKETS).subarray(0, -1)])).toEqual(EXPECTED.slice(0, 2));
  });

  it("refuses what is no pcap file, and a packet longer than any", () => {
    expect(() => readAll([Buffer.from("tcpdump: no such device, and so on")])).toThrow(/magic number 0x74637064/);
    const file = pcap(PACKETS);
    file.writeUInt32LE(262_145, 24 + 8);
    expect(() => readAll([file])).toThrow(/a packet of 262145 bytes/);
  });
});

describe("the figures of tcpdump", () => {
  it("are read at a signal and at its end", () => {
    const stderr = `tcpdump: listening on eth0, link-type EN10MB (Ethernet), snapshot length 192 bytes
tcpdump: 1 packet captured, 3 packets received by filter, 0 packets dropped by kernel
2 packets captured
12 packets received by filter
4 packets dropped by kernel
7 packets dropped by interface
`;
    expect(readFigures(stderr)).toEqual([
      { captured: 1, received: 3, dropped: 0, isInterim: true },
      { captured: 2, received: 12, dropped: 4, isInterim: false },
    ]);
  });

  it("are none while a line is not whole", () => {
    expect(readFigures("tcpdump: 1 packet captured, 3 packets received by filter, 0 pack")).toEqual([]);
  });
});
