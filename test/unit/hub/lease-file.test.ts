import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Entry } from "../../../src/hub/book.ts";
import { leaseText, parseLeases } from "../../../src/hub/lease-file.ts";
import { type Address, parseAddress } from "../../../src/net/address.ts";

const address = (text: string): Address => parseAddress(text) ?? expect.fail(text);
const ENTRIES: readonly Entry[] = [
  { identity: "a", addresses: [address("10.173.0.1"), address("fd00:173::1")], host: address("10.9.0.1") },
  { identity: "b", addresses: [address("10.173.0.2")], offline: { since: 1000, until: 61_000 } },
  { identity: "c", addresses: [address("10.173.0.3")], offline: { since: 1000 } },
];
const GIVEN = { 4: address("10.173.0.3"), 6: address("fd00:173::1") };

describe("the file of leases", () => {
  test("says what the book said", () => {
    const text = leaseText(ENTRIES, GIVEN, (time) => time);
    expect(parseLeases(text)).toEqual({ given: GIVEN, entries: ENTRIES });
    expect(parseLeases(leaseText([], {}, (time) => time))).toEqual({ given: {}, entries: [] });
  });

  test("has times of the world's clock, whatever the book's is", () => {
    const text = leaseText(ENTRIES, GIVEN, (time) => time + 1_000_000);
    expect(text).toContain('"keptUntil":"1970-01-01T00:17:41.000Z"');
    expect(text).toContain('"offlineSince":"1970-01-01T00:00:01.000Z"');
  });

  test.each([
    ["", "it is empty"],
    ["{", "it is not JSON"],
    ["[]", "it is not what it should be"],
    ['{"version":2,"given":{},"leases":[]}', "version is not what it should be"],
    ['{"version":1,"given":{"4":"fd00::1"},"leases":[]}', "given.4 is not what it should be"],
    ['{"version":1,"given":{},"leases":[{"identity":"*","addresses":["10.0.0.1"]}]}', "leases.0.identity is not"],
    ['{"version":1,"given":{},"leases":[{"identity":"a","addresses":[]}]}', "leases.0.addresses is not"],
    ['{"version":1,"given":{},"leases":[{"identity":"a","addresses":["10.0.0.1","10.0.0.2"]}]}', "leases.0 has two"],
    [
      '{"version":1,"given":{},"leases":[{"identity":"a","addresses":["10.0.0.1"]},{"identity":"b","addresses":["10.0.0.1"]}]}',
      'leases.1 has "10.0.0.1", which another has as well',
    ],
    [
      '{"version":1,"given":{},"leases":[{"identity":"a","addresses":["10.0.0.1"]},{"identity":"A","addresses":["10.0.0.2"]}]}',
      'leases.1 has "a", which another has as well',
    ],
  ])("is damaged when it is %j", (text, damage) => {
    expect(parseLeases(text)).toEqual({ damage: expect.stringContaining(damage) });
  });

  test("cut short or changed anywhere is taken as a whole or not at all", () => {
    const text = leaseText(ENTRIES, GIVEN, (time) => time);
    fc.assert(
      fc.property(fc.nat(text.length - 2), (length) => {
        expect(parseLeases(text.slice(0, length))).toHaveProperty("damage");
      }),
    );
  });
});
