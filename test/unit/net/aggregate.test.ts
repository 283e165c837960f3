import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { aggregate } from "../../../src/net/aggregate.ts";
import { overlaps, type Prefix, parsePrefix, prefixLength } from "../../../src/net/prefix.ts";

describe("aggregate", () => {
  test.each<[string, string[], string[]]>([
    ["nothing", [], []],
    ["one", ["10.1.0.0/16"], ["10.1.0.0/16"]],
    ["the same twice", ["10.1.0.0/16", "10.1.0.0/16"], ["10.1.0.0/16"]],
    ["what another one holds", ["10.1.2.0/24", "10.1.0.0/16", "10.1.2.3/32"], ["10.1.0.0/16"]],
    ["two halves", ["10.1.1.0/24", "10.1.0.0/24"], ["10.1.0.0/23"]],
    ["neighbours that are no halves", ["10.1.1.0/24", "10.1.2.0/24"], ["10.1.1.0/24", "10.1.2.0/24"]],
    ["halves of halves", ["10.0.0.0/26", "10.0.0.128/25", "10.0.0.64/26"], ["10.0.0.0/24"]],
    ["a half that another one holds", ["10.0.1.0/24", "10.0.0.0/24", "10.0.1.128/25"], ["10.0.0.0/23"]],
    ["everything", ["128.0.0.0/1", "0.0.0.0/1", "8000::/1", "::/1"], ["0.0.0.0/0", "::/0"]],
    [
      "both families, by address",
      ["fd00:2::/64", "10.9.0.0/16", "10.10.0.0/16", "9.0.0.0/8"],
      ["9.0.0.0/8", "10.9.0.0/16", "10.10.0.0/16", "fd00:2::/64"],
    ],
    ["hosts", ["fd00::2/128", "fd00::3/128", "10.0.0.1/32"], ["10.0.0.1/32", "fd00::2/127"]],
  ])("%s", (_name, given, result) => {
    expect(aggregate(given.map(prefix))).toEqual(result);
  });

  test("leaves its argument alone", () => {
    const given = [prefix("10.1.1.0/24"), prefix("10.1.0.0/24")];
    aggregate(given);
    expect(given).toEqual(["10.1.1.0/24", "10.1.0.0/24"]);
  });
});

// The model: of each family the eight bits behind a fixed beginning, so that every address can be looked at.
const FAMILIES = [
  { base: 24, text: (last: number) => `192.0.2.${last}` },
  { base: 120, text: (last: number) => `2001:db8::${last.toString(16)}` },
] as const;

const modelled = fc
  .tuple(fc.constantFrom(...FAMILIES), fc.nat({ max: 255 }), fc.nat({ max: 8 }))
  .map(([{ base, text }, last, length]) => prefix(`${text(last)}/${base + length}`));

/** The addresses that prefixes hold, by their text in the model. */
function held(prefixes: readonly Prefix[]): Set<string> {
  const addresses = new Set<string>();
  for (const one of prefixes) {
    const { base, text } = one.includes(":") ? FAMILIES[1] : FAMILIES[0];
    const free = 8 - (prefixLength(one) - base);
    const hex = one.includes(":");
    const first = Number.parseInt(
      one.slice(one.lastIndexOf(hex ? ":" : ".") + 1, one.indexOf("/")) || "0",
      hex ? 16 : 10,
    );
    for (let last = first; last < first + 2 ** free; last += 1) addresses.add(text(last));
  }
  return addresses;
}

/** The fewest prefixes that hold `addresses` and no others: whole where all is there, else those of the two halves. */
function fewest(addresses: ReadonlySet<string>, text: (last: number) => string, first = 0, size = 256): number {
  const present = Array.from({ length: size }, (_, index) => addresses.has(text(first + index)));
  if (!present.includes(true)) return 0;
  if (!present.includes(false)) return 1;
  const half = size / 2;
  return fewest(addresses, text, first, half) + fewest(addresses, text, first + half, half);
}

test("holds exactly the same addresses, in the fewest prefixes, without overlaps, in order", () => {
  fc.assert(
    fc.property(fc.array(modelled, { maxLength: 40 }), (given) => {
      const result = aggregate(given);
      const addresses = held(given);
      expect(held(result)).toEqual(addresses);
      expect(result).toHaveLength(FAMILIES.reduce((sum, family) => sum + fewest(addresses, family.text), 0));
      for (const [index, one] of result.entries()) {
        expect(result.slice(0, index).some((earlier) => overlaps(earlier, one))).toBe(false);
      }
      expect(aggregate(result)).toEqual(result);
      expect(aggregate([...given].reverse())).toEqual(result);
    }),
    { numRuns: 500 },
  );
});

test("ten thousand prefixes are aggregated before a comparison of each with each would end", () => {
  const subnets = Array.from({ length: 4096 }, (_, n) => prefix(`10.${n >> 8}.${n & 255}.0/24`));
  const scattered = Array.from({ length: 10_000 }, (_, n) => prefix(`fd00:${n.toString(16)}::/64`));
  expect(aggregate([...scattered, ...subnets.reverse()])).toEqual(["10.0.0.0/12", ...scattered]);
});

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`${text} is no prefix`);
  return parsed;
}
