import { describe, expect, it } from "vitest";
import { latestRecords, wholeRecords } from "../../../src/testbed/capture.ts";

const header = Buffer.alloc(24, "h");

/** A packet as a pcap file has it: 16 bytes, of which the third word is the length, and its bytes. */
function record(text: string): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt32LE(text.length, 8);
  return Buffer.concat([head, Buffer.from(text)]);
}

const pcap = Buffer.concat([header, record("one"), record("second"), record("3")]);

describe("a pcap file", () => {
  it("has whole packets up to the last that is written to its end", () => {
    expect(wholeRecords(pcap)).toBe(pcap.length);
    expect(wholeRecords(pcap.subarray(0, -1))).toBe(pcap.length - record("3").length);
    expect(wholeRecords(header)).toBe(header.length);
    expect(wholeRecords(header.subarray(0, 7))).toBe(7);
  });

  it("is cut to its latest whole packets", () => {
    expect(latestRecords(pcap, 2)).toEqual(Buffer.concat([header, record("second"), record("3")]));
    expect(latestRecords(pcap.subarray(0, -1), 1)).toEqual(Buffer.concat([header, record("second")]));
    expect(latestRecords(pcap, 9)).toEqual(pcap);
    expect(latestRecords(header, 9)).toEqual(header);
  });
});
