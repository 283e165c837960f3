import fc from "fast-check";
import { expect, test } from "vitest";
import { spread } from "../../../src/ipsec/connection.ts";

test("pods ask their hub for a sign of life at different times, each always at the same", () => {
  const delays = Array.from({ length: 1000 }, (_, index) => spread(60, `c${index}.eth0@n1`));
  const counts = Map.groupBy(delays, (delay) => delay);
  expect([...counts.keys()].sort((one, other) => one - other)).toEqual(Array.from({ length: 16 }, (_, i) => 45 + i));
  for (const same of counts.values()) expect(same.length).toBeLessThan(110); // 62 or 63 if it were perfect
  expect(spread(60, "c1.eth0@n1")).toBe(spread(60, "c1.eth0@n1"));
});

test("is never later than wanted, at most a quarter earlier, and never turns it off or on", () => {
  fc.assert(
    fc.property(fc.nat(3600), fc.string(), (seconds, identity) => {
      const delay = spread(seconds, identity);
      expect(delay).toBeLessThanOrEqual(seconds);
      expect(delay).toBeGreaterThanOrEqual(seconds * 0.75);
    }),
  );
});
