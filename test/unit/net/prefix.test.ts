import { BlockList } from "node:net";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Address, family, parseAddress } from "../../../src/net/address.ts";
import {
  contains,
  hostPrefix,
  interfaceAddress,
  lastUsable,
  networkAddress,
  overlaps,
  type Prefix,
  parsePrefix,
  prefixLength,
  prefixOf,
} from "../../../src/net/prefix.ts";

describe("parsePrefix", () => {
  test.each([
    ["10.173.0.0/16", "10.173.0.0/16"],
    ["10.9.1.1/16", "10.9.0.0/16"],
    ["10.9.255.1/23", "10.9.254.0/23"],
    ["255.255.255.255/0", "0.0.0.0/0"],
    ["192.0.2.1/32", "192.0.2.1/32"],
    ["FD00:1:2:3::1/64", "fd00:1:2:3::/64"],
    ["fd00::ffff/113", "fd00::8000/113"],
    ["2001:db8::1/0", "::/0"],
  ])("makes %s of %s", (text, canonical) => {
    expect(parsePrefix(text)).toBe(canonical);
  });

  test.each([
    "10.0.0.0",
    "10.0.0.0/",
    "10.0.0.0/33",
    "::/129",
    "10.0.0.0/08",
    "10.0.0.0/+8",
    "10.0.0.0/8 ",
    "10.0.0.0/8/8",
  ])("refuses %s", (text) => {
    expect(parsePrefix(text)).toBeUndefined();
  });

  test.each(["fe80::1%eth0/64", "10.0/16", "/8", "10.0.0.0/255.0.0.0"])("refuses %s", (text) => {
    expect(parsePrefix(text)).toBeUndefined();
  });
});

test("interfaceAddress keeps the host bits", () => {
  expect(interfaceAddress("10.1.2.3/16")).toEqual({ address: "10.1.2.3", prefixLength: 16 });
  expect(interfaceAddress("FD00::0:1/64")).toEqual({ address: "fd00::1", prefixLength: 64 });
  expect(interfaceAddress("10.1.2.3")).toBeUndefined();
});

test("prefixOf refuses a length that the family does not have", () => {
  expect(() => prefixOf(address("10.0.0.1"), 33)).toThrow(RangeError);
  expect(() => prefixOf(address("::1"), 128.5)).toThrow(RangeError);
  expect(prefixOf(address("::1"), 128)).toBe("::1/128");
});

test("hostPrefix holds the one address", () => {
  expect(hostPrefix(address("10.1.2.3"))).toBe("10.1.2.3/32");
  expect(hostPrefix(address("fd00::1"))).toBe("fd00::1/128");
});

test.each([
  ["10.9.0.0/24", "10.9.0.254"],
  ["10.9.0.0/16", "10.9.255.254"],
  ["10.9.0.0/30", "10.9.0.2"],
  ["10.9.0.0/31", "10.9.0.1"],
  ["10.9.0.7/32", "10.9.0.7"],
  ["0.0.0.0/0", "255.255.255.254"],
  ["fd00:1::/64", "fd00:1::ffff:ffff:ffff:ffff"],
  ["fd00::/126", "fd00::3"],
])("lastUsable of %s is %s", (text, last) => {
  expect(lastUsable(prefix(text))).toBe(last);
});

describe("contains", () => {
  test.each([
    ["10.0.0.0/8", "10.255.255.255", true],
    ["10.0.0.0/8", "11.0.0.0", false],
    ["10.0.0.0/8", "10.1.0.0/16", true],
    ["10.0.0.0/8", "10.0.0.0/8", true],
    ["10.1.0.0/16", "10.0.0.0/8", false],
    ["0.0.0.0/0", "192.0.2.1", true],
    ["::/0", "192.0.2.1", false],
    ["0.0.0.0/0", "::/0", false],
    ["fd00::/63", "fd00:0:0:1::1", true],
    ["fd00::/63", "fd00:0:0:2::1", false],
  ])("%s, %s: %s", (outer, inner, expected) => {
    expect(contains(prefix(outer), (parsePrefix(inner) ?? parseAddress(inner)) as Address)).toBe(expected);
  });

  test("agrees with node:net's BlockList", () => {
    fc.assert(
      fc.property(prefixArbitrary, anyAddress, (outer, inner) => {
        const list = new BlockList();
        list.addSubnet(networkAddress(outer), prefixLength(outer), family(outer) === 4 ? "ipv4" : "ipv6");
        // BlockList takes IPv4-mapped IPv6 for IPv4; to the kernel's routing they are two things.
        fc.pre(!networkAddress(outer).startsWith("::ffff:") && family(outer) === family(inner));
        expect(contains(outer, inner)).toBe(list.check(inner, family(inner) === 4 ? "ipv4" : "ipv6"));
      }),
    );
  });
});

test("two prefixes overlap when one holds the other, whichever is named first", () => {
  expect(overlaps(prefix("10.0.0.0/8"), prefix("10.1.0.0/16"))).toBe(true);
  expect(overlaps(prefix("10.1.0.0/16"), prefix("10.0.0.0/8"))).toBe(true);
  expect(overlaps(prefix("10.1.0.0/16"), prefix("10.2.0.0/16"))).toBe(false);
  expect(overlaps(prefix("::/0"), prefix("0.0.0.0/0"))).toBe(false);
});

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

/** Few different addresses, so that they are often inside the prefixes. */
const anyAddress = fc.oneof(
  fc
    .tuple(fc.constantFrom(10, 11), fc.constantFrom(0, 1, 128), fc.nat(255), fc.nat(255))
    .map((octets) => address(octets.join("."))),
  fc
    .tuple(fc.constantFrom("fd00", "fd01"), fc.nat(3), fc.nat(0xffff))
    .map(([a, b, c]) => address(`${a}:${b}::${c.toString(16)}`)),
);
const prefixArbitrary = anyAddress.chain((base) =>
  fc.nat(family(base) === 4 ? 32 : 128).map((length) => prefixOf(base, length)),
);
