import fc from "fast-check";
import { expect, test } from "vitest";
import { parseDuration } from "../../../src/config/duration.ts";

test.each([
  [10, 10_000],
  [0, 0],
  [1.001, 1001],
  ["500ms", 500],
  ["10s", 10_000],
  ["1.5s", 1500],
  ["0.001s", 1],
  ["2m", 120_000],
  ["1h", 3_600_000],
  ["0s", 0],
])("%j is %d ms", (value, milliseconds) => {
  expect(parseDuration(value)).toBe(milliseconds);
});

test.each([
  ...[-1, 0.0005, Number.NaN, Number.POSITIVE_INFINITY, 1e300],
  ...["", "10", "s", "-1s", "1 s", "1d", "1S", "1e3s", ".5s", "1.s", "0.5ms", "9999999999s", " 1s", "1s\n"],
  ...[null, undefined, true, [10], { s: 1 }],
])("%j is no duration", (value) => {
  expect(parseDuration(value)).toBeUndefined();
});

test("seconds as a number, as text and in milliseconds agree", () => {
  fc.assert(
    fc.property(fc.nat({ max: 999_999_999 }), (milliseconds) => {
      expect(parseDuration(`${milliseconds}ms`)).toBe(milliseconds);
      expect(parseDuration(milliseconds / 1000)).toBe(milliseconds);
      expect(parseDuration(`${(milliseconds / 1000).toFixed(3)}s`)).toBe(milliseconds);
    }),
  );
});
