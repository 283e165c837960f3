import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addressFromBytes } from "../../../src/net/address.ts";
import { contains, type Prefix, prefixOf } from "../../../src/net/prefix.ts";
import { elementNames, intervalOf } from "../../../src/nftables/set.ts";

/** Any prefix of either family. */
const PREFIX: fc.Arbitrary<Prefix> = fc
  .oneof(fc.constant(4), fc.constant(16))
  .chain((bytes) =>
    fc.tuple(fc.uint8Array({ minLength: bytes, maxLength: bytes }), fc.integer({ min: 0, max: 8 * bytes })),
  )
  .map(([bytes, length]) => prefixOf(addressFromBytes(bytes), length));

/** The address as a number. */
const number = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString("hex")}`);

describe("the interval of a prefix", () => {
  test("has as many addresses as the prefix, and begins in it", () => {
    fc.assert(
      fc.property(PREFIX, (prefix) => {
        const { first, behind } = intervalOf(prefix);
        const bits = 8 * first.length;
        const end = behind === undefined ? 1n << BigInt(bits) : number(behind);
        const length = Number(prefix.split("/")[1]);
        expect(end - number(first)).toBe(1n << BigInt(bits - length));
        expect(contains(prefix, addressFromBytes(first))).toBe(true);
        if (behind !== undefined) expect(contains(prefix, addressFromBytes(behind))).toBe(false);
      }),
    );
  });

  test("has no end where there is no address behind it", () => {
    const ends = ["0.0.0.0/0", "255.255.255.255/32", "128.0.0.0/1", "::/0", "ff00::/8"].map((text) => {
      const [address = "", length] = text.split("/");
      return elementNames(`${address}/${length}` as Prefix).length;
    });
    expect(ends).toEqual([1, 1, 1, 1, 1]);
  });

  test("begins where its neighbour's ends, which are two elements all the same", () => {
    expect(["10.0.1.0/24", "10.0.2.0/24"].flatMap((text) => elementNames(text as Prefix))).toEqual([
      "0a000100",
      "0a000200 end",
      "0a000200",
      "0a000300 end",
    ]);
  });
});
