import { describe, expect, it } from "vitest";
import { cut, LOST, matrix, roundTrip, table } from "../../../src/demo/format.ts";

describe("a table", () => {
  it("aligns its columns and has no space at the end of a line", () => {
    expect(
      table([
        ["pod", "node"],
        ["a-long-name", "n"],
        ["b", ""],
      ]),
    ).toBe("  pod          node\n  a-long-name  n\n  b");
  });
});

describe("a matrix", () => {
  it("has a row for each sender, a column for each receiver, and nothing from a pod to itself", () => {
    const lines = matrix(["a", "b"], (from, to) => `${from}>${to}`).split("\n");
    expect(lines.map((line) => line.trim().split(/ +/))).toEqual([
      ["a", "b"],
      ["a", "-", "a>b"],
      ["b", "b>a", "-"],
    ]);
    expect(new Set(lines.map((line) => line.length)).size).toBe(1);
  });
});

describe("a line", () => {
  it("is cut to the terminal's width, visibly", () => {
    expect(cut("x".repeat(80))).toBe("x".repeat(80));
    expect(cut("x".repeat(81))).toBe(`${"x".repeat(79)}…`);
  });
});

describe("a round trip", () => {
  it.each([
    ["64 bytes from 10.173.0.2: icmp_seq=1 ttl=63 time=0.4291 ms", "0.429"],
    ["64 bytes from 10.173.0.2: icmp_seq=1 ttl=63 time=12.3 ms", "12.3"],
    ["1 packets transmitted, 0 received, 100% packet loss, time 0ms", LOST],
  ])("of %j is %s", (output, expected) => {
    expect(roundTrip(output)).toBe(expected);
  });
});
