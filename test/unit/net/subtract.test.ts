import fc from "fast-check";
import { expect, test } from "vitest";
import { aggregate } from "../../../src/net/aggregate.ts";
import { halves } from "../../../src/net/halves.ts";
import { overlaps, type Prefix, parsePrefix } from "../../../src/net/prefix.ts";
import { subtract } from "../../../src/net/subtract.ts";

test.each<[string, string[], string[], string[]]>([
  ["nothing from nothing", [], [], []],
  ["nothing", ["10.1.0.0/16"], [], ["10.1.0.0/16"]],
  ["something else", ["10.1.0.0/16"], ["10.2.0.0/16", "fd00::/8"], ["10.1.0.0/16"]],
  ["itself", ["10.1.0.0/16"], ["10.1.0.0/16"], []],
  ["what holds it", ["10.1.0.0/16", "fd00:1::/64"], ["10.0.0.0/8", "::/0"], []],
  ["one half", ["10.1.0.0/16"], ["10.1.128.0/17"], ["10.1.0.0/17"]],
  ["both halves", ["10.1.0.0/16"], ["10.1.128.0/17", "10.1.0.0/17"], []],
  [
    "a part in the middle",
    ["10.1.0.0/16"],
    ["10.1.4.0/24"],
    [
      "10.1.0.0/22",
      "10.1.5.0/24",
      "10.1.6.0/23",
      "10.1.8.0/21",
      "10.1.16.0/20",
      "10.1.32.0/19",
      "10.1.64.0/18",
      "10.1.128.0/17",
    ],
  ],
  ["one address", ["10.1.0.0/30"], ["10.1.0.2/32"], ["10.1.0.0/31", "10.1.0.3/32"]],
  ["of IPv6", ["fd00:101::/62"], ["fd00:101:0:2::/64"], ["fd00:101::/63", "fd00:101:0:3::/64"]],
  ["from neighbours", ["10.1.1.0/24", "10.1.0.0/24"], ["10.1.1.0/24"], ["10.1.0.0/24"]],
])("subtract: %s", (_name, prefixes, removed, left) => {
  expect(subtract(prefixes.map(prefix), removed.map(prefix))).toEqual(left);
});

// The last five bits of a prefix of each family, so that each address can be looked at.
const small = fc
  .tuple(fc.constantFrom(["192.0.2.", 27] as const, ["2001:db8::", 123] as const), fc.nat(31), fc.nat(5))
  .map(([[base, length], last, more]) =>
    prefix(`${base}${base.includes(":") ? last.toString(16) : last}/${length + more}`),
  );
const each = [
  ...Array.from({ length: 32 }, (_, last) => prefix(`192.0.2.${last}/32`)),
  ...Array.from({ length: 32 }, (_, last) => prefix(`2001:db8::${last.toString(16)}/128`)),
];

test("leaves exactly the addresses that are in the first and not in the second, in the fewest prefixes", () => {
  fc.assert(
    fc.property(fc.array(small, { maxLength: 8 }), fc.array(small, { maxLength: 8 }), (prefixes, removed) => {
      const left = subtract(prefixes, removed);
      const has = (list: readonly Prefix[], address: Prefix) => list.some((one) => overlaps(one, address));
      for (const address of each) {
        expect(has(left, address)).toBe(has(prefixes, address) && !has(removed, address));
      }
      expect(aggregate(left)).toEqual(left);
    }),
  );
});

test.each([
  ["10.1.0.0/16", ["10.1.0.0/17", "10.1.128.0/17"]],
  ["0.0.0.0/0", ["0.0.0.0/1", "128.0.0.0/1"]],
  ["192.0.2.6/31", ["192.0.2.6/32", "192.0.2.7/32"]],
  ["fd00::/64", ["fd00::/65", "fd00::8000:0:0:0/65"]],
])("%s has two halves, which make it whole", (whole, two) => {
  expect(halves(prefix(whole))).toEqual(two);
  expect(aggregate(halves(prefix(whole)))).toEqual([whole]);
});

test.each(["192.0.2.1/32", "fd00::1/128"])("%s is one address, which has no halves", (one) => {
  expect(() => halves(prefix(one))).toThrow(RangeError);
});

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`${text} is no prefix`);
  return parsed;
}
