import fc from "fast-check";
import IPCIDR from "ip-cidr";
import { expect, test } from "vitest";
import { addressFromBytes } from "../../../src/net/address.ts";
import { firstHost, type Prefix, parsePrefix, prefixOf } from "../../../src/net/prefix.ts";
import { lastAddress, nth, size } from "../../../src/net/range.ts";

test("counts the addresses of a prefix", () => {
  expect(size(prefix("10.173.0.0/16"))).toBe(65_536n);
  expect(size(prefix("192.0.2.1/32"))).toBe(1n);
  expect(size(prefix("fd00::/64"))).toBe(2n ** 64n);
});

test("of which the second one is the first that a host can have", () => {
  for (const text of ["10.173.0.0/16", "192.0.2.4/30", "0.0.0.0/0", "fd00::/64", "fd00::ff00/120", "::/0"]) {
    expect(firstHost(prefix(text))).toBe(nth(prefix(text), 1n));
  }
});

test("finds the first, the n-th and the last address", () => {
  expect(nth(prefix("10.173.0.0/16"), 0n)).toBe("10.173.0.0");
  expect(nth(prefix("10.173.0.0/16"), 256n)).toBe("10.173.1.0");
  expect(nth(prefix("fd00::/64"), 2n ** 32n)).toBe("fd00::1:0:0");
  expect(lastAddress(prefix("10.173.0.0/16"))).toBe("10.173.255.255");
  expect(lastAddress(prefix("fd00::/64"))).toBe("fd00::ffff:ffff:ffff:ffff");
});

test("refuses an address outside the prefix", () => {
  expect(() => nth(prefix("10.0.0.0/30"), 4n)).toThrow(RangeError);
  expect(() => nth(prefix("10.0.0.0/30"), -1n)).toThrow(RangeError);
});

test("our own parser finds the network that ip-cidr finds", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(4, 16),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.nat(128),
      (bytes, raw, bits) => {
        const address = addressFromBytes(raw.subarray(0, bytes));
        const length = bits % (8 * bytes + 1);
        const theirs = new IPCIDR(`${address}/${length}`);
        expect(parsePrefix(`${theirs.start<string>()}/${length}`)).toBe(prefixOf(address, length));
        expect(parsePrefix(`${address}/${length}`)).toBe(prefixOf(address, length));
      },
    ),
  );
});

test("our own parser accepts no prefix that ip-cidr refuses", () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.integer({ min: -1, max: 140 }), (address, length) => {
      fc.pre(!address.includes(":") || !address.includes(".")); // ip-cidr reads mixed notation as IPv4
      expect(parsePrefix(`${address}/${length}`) !== undefined).toBe(IPCIDR.isValidCIDR(`${address}/${length}`));
    }),
  );
});

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}
