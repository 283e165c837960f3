import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hubSubnet } from "../../../src/config/hub-pool.ts";
import { Book } from "../../../src/hub/book.ts";
import { Ring } from "../../../src/hub/ring.ts";
import { windowOf } from "../../../src/hub/window.ts";
import { type Address, parseAddress } from "../../../src/net/address.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";

const address = (text: string): Address => parseAddress(text) ?? expect.fail(text);
const subnet = (text: string, part?: string) => {
  const pool = part === undefined ? undefined : parsePrefix(part);
  return hubSubnet(parsePrefix(text) ?? expect.fail(text), pool) ?? expect.fail(text);
};
const SMALL = [subnet("10.173.0.0/16", "10.173.0.0/29"), subnet("fd00:173::/64")];

describe("a ring of addresses", () => {
  const ring = new Ring([subnet("10.173.0.0/30"), subnet("10.174.0.0/24")].map(({ pool }) => pool));

  test("goes through all pools and begins anew", () => {
    expect(ring.size).toBe(1 + 253);
    expect([0, 1, 253, 254].map((index) => ring.at(index))).toEqual([
      "10.173.0.1",
      "10.174.0.1",
      "10.174.0.253",
      "10.173.0.1",
    ]);
    expect(ring.indexOf(address("10.174.0.2"))).toBe(2);
    expect(ring.indexOf(address("10.174.1.0"))).toBeUndefined();
    expect(ring.indexOf(address("fd00::1"))).toBeUndefined();
    expect(ring.distance(253, 0)).toBe(1);
  });

  test("has each of its addresses at one place", () => {
    fc.assert(
      fc.property(fc.nat(253), (index) => {
        expect(ring.indexOf(ring.at(index))).toBe(index);
      }),
    );
  });
});

describe("a book of leases", () => {
  test("gives what was given back again last of all", () => {
    const book = new Book(SMALL);
    for (const name of ["a", "b"]) {
      const [free] = book.freeAddresses(4);
      book.learn(name, [free ?? expect.fail("none")]);
    }
    book.free("a");
    expect([...book.freeAddresses(4)]).toEqual(["3", "4", "5", "6", "7", "1"].map((last) => `10.173.0.${last}`));
  });

  test("passes over what an unknown pod may have been given, until there is nothing else", () => {
    const book = new Book(SMALL, { 4: address("10.173.0.2") });
    book.skip(64); // of seven, a quarter
    expect([...book.freeAddresses(4)][0]).toBe("10.173.0.4");
    expect([...book.freeAddresses(4)].at(-1)).toBe("10.173.0.3");
    expect([...book.freeAddresses(6)].slice(0, 1)).toEqual(["fd00:173::41"]);
  });

  test("knows an identity by its name, whatever its capitals", () => {
    const book = new Book(SMALL);
    book.learn("Pod", [address("10.173.0.1")]);
    expect(book.get("pOD")?.identity).toBe("Pod");
    expect(book.restore({ identity: "POD", addresses: [address("10.173.0.2")] })).toBe(false);
  });

  test("takes of a file what pools still have and nobody else does", () => {
    const book = new Book(SMALL);
    expect(book.restore({ identity: "a", addresses: [address("10.173.0.1"), address("fd00:99::1")] })).toBe(false);
    expect(book.get("a")?.addresses).toEqual(["10.173.0.1"]);
    expect(book.restore({ identity: "b", addresses: [address("10.173.0.1")] })).toBe(false);
    expect(book.get("b")).toBeUndefined();
    expect(book.reserve("a", 0)).toBe(true);
    expect(book.get("a")?.addresses).toEqual(["10.173.0.1", "fd00:173::1"]);
  });

  test("has no address for more identities than there are", () => {
    const book = new Book([subnet("10.173.0.0/30")]);
    expect(book.reserve("a", 0)).toBe(true);
    expect(book.reserve("b", 0)).toBe(false);
    expect(book.entries()).toHaveLength(1);
  });

  test("never has one address twice, whatever comes and goes", () => {
    const names = fc.constantFrom("a", "b", "c", "d", "e");
    const event = fc.record({ name: names, what: fc.constantFrom("learn", "free", "reserve", "skip") });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (events) => {
        const book = new Book([subnet("10.173.0.0/29"), subnet("fd00:173::/125")]);
        for (const { name, what } of events) {
          const [free] = book.freeAddresses(4);
          if (what === "learn" && book.get(name) === undefined && free !== undefined) book.learn(name, [free]);
          if (what === "free") book.free(name);
          if (what === "reserve") book.reserve(name, 0);
          if (what === "skip") book.skip(3);
          const taken = book.entries().flatMap(({ addresses }) => addresses);
          const window = windowOf(book, []);
          expect(new Set(taken).size).toBe(taken.length);
          expect(new Set([...taken, ...window]).size).toBe(taken.length + window.length);
          expect(taken.length + window.length).toBe(5 + 6);
        }
      }),
    );
  });
});

describe("the addresses for unknown pods", () => {
  test("stay in their order, without those that have been given, and are filled up from behind", () => {
    const book = new Book([subnet("10.173.0.0/16")]);
    const first = windowOf(book, []);
    expect([first.length, first[0], first.at(-1)]).toEqual([1024, "10.173.0.1", "10.173.4.0"]);
    for (const [index, given] of first.slice(0, 600).entries()) book.learn(`p${index}`, [given]);
    const later = windowOf(book, first);
    expect([later.length, later[0], later.at(-1)]).toEqual([1024, "10.173.2.89", "10.173.6.88"]);
    expect(windowOf(book, later)).toEqual(later);
  });
});
