import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeProbePacket,
  encodeProbePacket,
  PROBE_LENGTH,
  type ProbePacket,
} from "../../../../src/agent/probe/packet.ts";

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const clock = fc.integer({ min: 1, max: 0xffffffff }).map((seconds) => seconds * 1000);
const packets: fc.Arbitrary<ProbePacket> = fc.oneof(
  fc.record({ type: fc.constant("probe" as const), session: u32, sequence: u32, sentAt: u64 }),
  fc.record({ type: fc.constant("answer" as const), session: u32, sequence: u32, sentAt: u64, received: u32 }),
  fc.record({ type: fc.constant("answer" as const), session: u32, sequence: u32, sentAt: u64, received: u32, clock }),
);

describe("a packet of the probe", () => {
  test("is read as it was written", () => {
    fc.assert(
      fc.property(packets, (packet) => {
        expect(decodeProbePacket(encodeProbePacket(packet))).toEqual(packet);
      }),
    );
  });

  test("has one length: an answer is never longer than its question", () => {
    fc.assert(
      fc.property(packets, (packet) => {
        expect(encodeProbePacket(packet)).toHaveLength(PROBE_LENGTH);
      }),
    );
  });

  test("stays the same on the wire: other versions read it as well", () => {
    const bytes = encodeProbePacket({ type: "answer", session: 0x01020304, sequence: 5, sentAt: 6n, received: 7 });
    const start = "50565042" + "01020000" + "01020304" + "00000005" + "0000000000000006" + "00000007";
    expect(Buffer.from(bytes).toString("hex")).toBe(`${start}00000000`);
    const told = { type: "answer", session: 0x01020304, sequence: 5, sentAt: 6n, received: 7, clock: 8600 } as const;
    expect(Buffer.from(encodeProbePacket(told)).toString("hex")).toBe(`${start}00000009`);
  });

  test("is nothing when it is of another length, version, type or magic", () => {
    const good = encodeProbePacket({ type: "probe", session: 1, sequence: 2, sentAt: 3n });
    expect(decodeProbePacket(good.subarray(0, PROBE_LENGTH - 1))).toBeUndefined();
    expect(decodeProbePacket(Uint8Array.from([...good, 0]))).toBeUndefined();
    for (const index of [0, 4, 5]) {
      expect(decodeProbePacket(good.with(index, 99))).toBeUndefined();
    }
  });

  test("may be anything at all without harm", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        decodeProbePacket(bytes);
      }),
    );
  });
});
