import { isIP } from "node:net";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addressBytes, addressFromBytes, family, parseAddress } from "../../../src/net/address.ts";

describe("parseAddress", () => {
  test.each([
    // RFC 5952 section 4
    ["2001:0db8::0001", "2001:db8::1"],
    ["2001:DB8::A", "2001:db8::a"],
    ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    // a "::" that stands for one group, and at either end
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["1:0:0:0:0:0:0:0", "1::"],
    ["::ffff:c000:0201", "::ffff:192.0.2.1"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["192.0.2.1", "192.0.2.1"],
    ["0.0.0.0", "0.0.0.0"],
  ])("writes %s as %s", (text, canonical) => {
    expect(parseAddress(text)).toBe(canonical);
  });

  test.each([
    ["a zone", "fe80::1%eth0"],
    ["an octet with a leading zero", "010.0.0.1"],
    ["an octet above 255", "10.0.0.256"],
    ["three octets", "10.0.1"],
    ["five octets", "10.0.0.1.2"],
    ["an empty octet", "10..0.1"],
    ["a hexadecimal octet", "0x0a.0.0.1"],
    ["a sign", "+1.0.0.1"],
    ["a prefix length", "10.0.0.1/8"],
    ["white space", " 10.0.0.1"],
    ["a line end", "::1\n"],
    ["brackets", "[::1]"],
    ["nine groups", "1:2:3:4:5:6:7:8:9"],
    ["seven groups", "1:2:3:4:5:6:7"],
    ["a '::' that stands for nothing", "1:2:3:4::5:6:7:8"],
    ["two '::'", "1::2::3"],
    ["three colons", "1:::2"],
    ["a single colon at the start", ":1:2:3:4:5:6:7"],
    ["a single colon at the end", "1:2:3:4:5:6:7:"],
    ["a group of five digits", "12345::"],
    ["dotted decimal before '::'", "192.0.2.1::"],
    ["dotted decimal in the middle", "::192.0.2.1:1"],
    ["nothing", ""],
    ["a name", "localhost"],
    ["other digits than ASCII's", "１.1.1.1"],
  ])("refuses %s", (_what, text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  test("accepts what node:net accepts without a zone, and nothing else", () => {
    fc.assert(
      fc.property(addressLike, (text) => {
        expect(parseAddress(text) === undefined ? 0 : family(parseAddress(text) as never)).toBe(isIP(text));
      }),
      { numRuns: 20_000 },
    );
  });

  test("writes IPv6 as URLs do, which is RFC 5952 as well", () => {
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        const address = parseAddress(text);
        // URLs have IPv4-mapped addresses in hexadecimal; that ours are dotted is tested above.
        fc.pre(address !== undefined && !address.startsWith("::ffff:"));
        expect(`[${address}]`).toBe(new URL(`http://[${text}]`).hostname);
      }),
    );
  });

  test("leaves its own output as it is", () => {
    fc.assert(
      fc.property(addressBytesArbitrary, (bytes) => {
        const address = addressFromBytes(bytes);
        expect(parseAddress(address)).toBe(address);
      }),
    );
  });
});

describe("addressBytes", () => {
  test("is the inverse of addressFromBytes", () => {
    fc.assert(
      fc.property(addressBytesArbitrary, (bytes) => {
        expect(addressBytes(addressFromBytes(bytes))).toEqual(bytes);
      }),
    );
  });

  test("refuses any other number of bytes than 4 and 16", () => {
    expect(() => addressFromBytes(new Uint8Array(5))).toThrow(RangeError);
  });
});

/** Zeros are frequent: the compression of runs of them is what can go wrong. */
const byte = fc.oneof(
  { weight: 2, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 255 }) },
);
const addressBytesArbitrary = fc
  .constantFrom(4, 16)
  .chain((length) => fc.array(byte, { minLength: length, maxLength: length }))
  .map((bytes) => Uint8Array.from(bytes));

/** Addresses, and addresses with something wrong; no `%`, as node:net takes zones. */
const addressLike = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc
    .array(fc.constantFrom(":", "::", ".", "0", "1", "f", "00", "255", "256", "1.2.3.4", "fffff", "A"), {
      maxLength: 16,
    })
    .map((parts) => parts.join("")),
  fc.tuple(fc.ipV6(), fc.nat(40), fc.constantFrom(":", ".", "0", "g", "")).map(([text, at, put]) => {
    return text.slice(0, at) + put + text.slice(at + 1);
  }),
);
