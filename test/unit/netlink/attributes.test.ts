import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  attribute,
  nest,
  nested,
  optional,
  parseAttributes,
  parseList,
  u8Of,
  u32Of,
} from "../../../src/netlink/attributes.ts";
import {
  bigEndianU16,
  concat,
  cString,
  readBigEndianU16,
  readBigEndianU32,
  readCString,
  readI32,
  readU8,
  readU16,
  readU32,
  readU64,
  u8,
  u16,
  u32,
  u64,
  zeros,
} from "../../../src/netlink/bytes.ts";
import { decodeMessages, encodeMessage } from "../../../src/netlink/message.ts";

describe("attributes", () => {
  test("are padded to four bytes, and the padding is not in the length", () => {
    expect([...attribute(3, cString("lo"))]).toEqual([7, 0, 3, 0, 0x6c, 0x6f, 0, 0]);
  });

  test("come back as they were written", () => {
    const payload = fc.uint8Array({ maxLength: 40 });
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 0x3fff }), payload), { selector: ([t]) => t }),
        (entries) => {
          const bytes = concat(...entries.map(([type, value]) => attribute(type, value)));
          const read = [...parseAttributes(bytes)].map(([type, value]) => [type, Uint8Array.from(value)]);
          expect(read).toEqual(entries);
        },
      ),
    );
  });

  test("are found in a nest whether or not the kernel set NLA_F_NESTED", () => {
    const inner = concat(attribute(1, u32(7)), attribute(2, u8(9)));
    for (const bytes of [nest(18, inner), attribute(18, inner)]) {
      const found = nested(parseAttributes(bytes), 18);
      expect(u32Of(found, 1)).toBe(7);
      expect(u8Of(found, 2)).toBe(9);
    }
    expect(nested(parseAttributes(zeros(0)), 18).size).toBe(0);
  });

  test("of a list are all there, in their order, whatever their types", () => {
    const list = concat(attribute(0, u8(1)), nest(0, attribute(5, u8(2))), attribute(7, zeros(0)), attribute(0, u8(3)));
    expect(parseList(list).map((payload) => [...payload])).toEqual([[1], [...attribute(5, u8(2))], [], [3]]);
    expect(parseList(zeros(0))).toEqual([]);
    expect(() => parseList(concat(attribute(0, u8(1)), u16(12), u16(0)))).toThrow(RangeError);
  });

  test("that are undefined are left out", () => {
    expect(optional(4, undefined, u32)).toHaveLength(0);
    expect(optional(4, 0, u32)).toEqual(attribute(4, u32(0)));
  });

  test.each([
    ["longer than the message", concat(u16(12), u16(1), u32(0))],
    ["shorter than its own header", concat(u16(3), u16(1), u32(0))],
  ])("refuse one that is %s", (_what, bytes) => {
    expect(() => parseAttributes(bytes)).toThrow(RangeError);
  });

  test("never read a number that is not all there", () => {
    expect(() => u32Of(parseAttributes(attribute(1, u16(5))), 1)).toThrow(RangeError);
  });

  test("refuse a payload that the 16-bit length cannot express", () => {
    expect(() => attribute(1, zeros(0xffff))).toThrow(RangeError);
  });

  test("numbers stand where they are read, in the order of bytes that is asked for", () => {
    const bytes = Buffer.from("ff0102030405060708", "hex");
    expect([readU8(bytes, 1), readU16(bytes, 1), readU32(bytes, 1)]).toEqual([0x01, 0x0201, 0x04030201]);
    expect([readBigEndianU16(bytes, 1), readBigEndianU32(bytes, 1)]).toEqual([0x0102, 0x01020304]);
    expect([readU64(bytes, 1), readI32(Buffer.from("feffffff", "hex"), 0)]).toEqual([0x0807060504030201n, -2]);
    expect([...bigEndianU16(51_820), ...u16(51_820)]).toEqual([0xca, 0x6c, 0x6c, 0xca]);
    const [first, second] = [u64(1n), u64(2n)]; // each has bytes of its own
    expect([readU64(first, 0), readU64(second, 0)]).toEqual([1n, 2n]);
  });

  test.each([
    ["an 8-bit", readU8, 1],
    ["a 16-bit", readU16, 2],
    ["a 32-bit", readU32, 4],
    ["a signed 32-bit", readI32, 4],
    ["a 64-bit", readU64, 8],
    ["a big-endian 16-bit", readBigEndianU16, 2],
    ["a big-endian 32-bit", readBigEndianU32, 4],
  ])("%s number is not read past the end, not by a byte", (_what, readNumber, length) => {
    const bytes = Buffer.alloc(64).subarray(3, 3 + length); // there is memory behind it
    expect(Number(readNumber(bytes, 0))).toBe(0);
    expect(() => readNumber(bytes, 1)).toThrow(RangeError);
  });

  test("text ends at its zero, or where the payload ends", () => {
    expect(readCString(Buffer.from("eth0\0\0"))).toBe("eth0");
    expect(readCString(Buffer.from("eth0"))).toBe("eth0");
  });
});

describe("messages", () => {
  test("of one datagram come back in order", () => {
    const body = fc.uint8Array({ maxLength: 40 });
    const number = fc.nat(0xffff);
    const message = fc.record({ type: number, flags: number, sequence: fc.nat(0xffffffff), body });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
        const read = decodeMessages(concat(...messages.map(encodeMessage)));
        expect(read.map((one) => ({ ...one, body: Uint8Array.from(one.body) }))).toEqual(messages);
      }),
    );
  });

  test("that are cut off are refused", () => {
    const whole = encodeMessage({ type: 16, flags: 0, sequence: 1, body: zeros(16) });
    expect(() => decodeMessages(whole.subarray(0, 20))).toThrow(RangeError);
  });

  test("of random bytes are decoded or refused, without a hang", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          for (const { body } of decodeMessages(bytes)) parseAttributes(body);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
      { numRuns: 20_000 },
    );
  });
});
