import fc from "fast-check";
import { expect, test } from "vitest";
import { contains, type Prefix, parsePrefix, prefixLength } from "../../../src/net/prefix.ts";
import { PrefixMap } from "../../../src/net/prefix-map.ts";

test("finds what holds a prefix or an address, the longest first", () => {
  const map = mapOf("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "::/0");
  expect(map.holder(prefix("10.1.2.3/32"))).toEqual({ prefix: "10.1.2.0/24", value: "10.1.2.0/24" });
  expect(map.holders(prefix("10.1.2.3/32")).map(({ value }) => value)).toEqual([
    "10.1.2.0/24",
    "10.1.0.0/16",
    "10.0.0.0/8",
  ]);
  expect(map.holder(prefix("10.1.2.0/24"))?.prefix).toBe("10.1.2.0/24");
  expect(map.holder(prefix("10.1.2.0/23"))?.prefix).toBe("10.1.0.0/16");
  expect(map.holder(prefix("11.0.0.0/8"))).toBeUndefined();
  expect(map.holders(prefix("10.0.0.0/7"))).toEqual([]);
  expect(map.holder(prefix("fd00::/64"))?.prefix).toBe("::/0");
});

test("a prefix has the value that was given last", () => {
  const map = new PrefixMap<number>();
  map.set(prefix("10.0.0.0/8"), 1);
  map.set(prefix("10.0.0.0/8"), 0);
  expect(map.get(prefix("10.0.0.0/8"))).toBe(0);
  expect(map.holder(prefix("10.0.0.0/9"))).toEqual({ prefix: "10.0.0.0/8", value: 0 });
  expect(map.get(prefix("10.0.0.0/9"))).toBeUndefined();
});

test("finds the same as a look at each", () => {
  const some = fc
    .oneof(
      fc.tuple(fc.constantFrom("10.1.2.3", "10.1.0.0", "11.0.0.0"), fc.nat({ max: 32 })),
      fc.tuple(fc.constantFrom("fd00::1", "fd00:1::", "::"), fc.nat({ max: 128 })),
    )
    .map(([address, length]) => prefix(`${address}/${length}`));
  fc.assert(
    fc.property(fc.array(some), some, (prefixes, inner) => {
      const map = mapOf(...prefixes);
      const expected = [...new Set(prefixes)].filter((one) => contains(one, inner));
      expected.sort((one, other) => prefixLength(other) - prefixLength(one));
      expect(map.holders(inner).map((held) => held.prefix)).toEqual(expected);
      expect(map.holder(inner)?.prefix).toBe(expected[0]);
    }),
  );
});

function mapOf(...texts: string[]): PrefixMap<string> {
  const map = new PrefixMap<string>();
  for (const text of texts) map.set(prefix(text), text);
  return map;
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`${text} is no prefix`);
  return parsed;
}
