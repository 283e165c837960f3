import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { freeIfId, nameOnNode } from "../../../../src/node/charon/if-id.ts";

describe("the number of an XFRM interface", () => {
  test("is none that is taken, fits the kernel, and is none of the small ones that people choose", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), fc.nat(50), (start, count) => {
        const taken = new Set<number>();
        for (let pods = 0; pods < count; pods += 1) {
          const id = freeIfId(taken, start);
          expect(taken.has(id)).toBe(false);
          expect(id).toBeGreaterThanOrEqual(0x1000_0000);
          expect(id).toBeLessThanOrEqual(0xffff_ffff);
          taken.add(id);
        }
      }),
    );
  });

  test("goes on from the first after the last", () => {
    expect(freeIfId(new Set([0xffff_ffff]), 1 - 1e-15)).toBe(0x1000_0000);
  });

  test("gives the interface a name that the kernel takes, and no other pod's", () => {
    expect(nameOnNode(0xffff_ffff)).toBe("pvxffffffff");
    expect(nameOnNode(0x1000_0000)).toBe("pvx10000000");
  });
});
