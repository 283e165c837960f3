import type { ChildSa, IkeSa } from "vici";
import { describe, expect, test } from "vitest";
import { hubSubnet } from "../../../src/config/hub-pool.ts";
import { Book } from "../../../src/hub/book.ts";
import { Endings } from "../../../src/hub/endings.ts";
import { observe } from "../../../src/hub/observe.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";

const prefix = (text: string) => parsePrefix(text) ?? expect.fail(text);

function newBook(): Book {
  return new Book([hubSubnet(prefix("10.173.0.0/16")) ?? expect.fail("no pool")]);
}

/** What a listing has of an SA, as far as leases go. */
function sa(uniqueid: number, remoteId: string, vip: string, overrides: Partial<IkeSa> = {}): IkeSa {
  const child = { name: "net", state: "INSTALLED" } as ChildSa;
  const base = { uniqueid, remoteId, remoteVips: [vip], state: "ESTABLISHED", established: 60, childSas: [child] };
  return { ...base, remoteHost: "10.9.0.1", remotePort: 4500, ...overrides } as IkeSa;
}

const HOUR = 3_600_000;

function look(
  book: Book,
  sas: readonly IkeSa[],
  options: { goodbyes?: string[]; now?: number; fixed?: string[] } = {},
) {
  const { goodbyes = [], now = 0, fixed } = options;
  return observe(book, sas, new Set(goodbyes), {
    leaseTime: HOUR,
    now,
    wallClock: now,
    fixed: fixed && new Set(fixed),
  });
}

function addresses(book: Book): Record<string, readonly string[]> {
  return Object.fromEntries(book.entries().map(({ identity, addresses: own }) => [identity, own]));
}

describe("looking at charon's SAs", () => {
  test("learns who is online, once", () => {
    const book = newBook();
    expect(look(book, [sa(1, "a", "10.173.0.1"), sa(2, "b", "10.173.0.2")])).toMatchObject({ changed: true });
    expect(addresses(book)).toEqual({ a: ["10.173.0.1"], b: ["10.173.0.2"] });
    expect(look(book, [sa(1, "a", "10.173.0.1"), sa(2, "b", "10.173.0.2")])).toMatchObject({ changed: false });
    const moved = sa(3, "a", "10.173.0.1", { remoteHost: "10.9.0.2" });
    expect(look(book, [moved, sa(2, "b", "10.173.0.2")])).toMatchObject({ changed: true });
    expect(book.get("a")?.host).toBe("10.9.0.2");
  });

  test("keeps the address of one that is gone for its time, and not of one that said goodbye", () => {
    const book = newBook();
    look(book, [sa(1, "a", "10.173.0.1"), sa(2, "b", "10.173.0.2")]);
    expect(look(book, [], { goodbyes: ["b"] }).told).toEqual(["free: 10.173.0.2, as b said goodbye"]);
    expect(book.get("a")?.offline).toEqual({ since: 0, until: HOUR });
    expect(look(book, [], { now: HOUR - 1 })).toMatchObject({ changed: false });
    expect(look(book, [], { now: HOUR }).told).toEqual(["free: 10.173.0.1, as a was offline for too long"]);
    expect(book.entries()).toEqual([]);
  });

  test("does not take a goodbye for one from a pod that is online: it said it of a tunnel of before", () => {
    const book = newBook();
    look(book, [sa(1, "a", "10.173.0.1")]);
    look(book, [sa(2, "a", "10.173.0.1")], { goodbyes: ["a"] });
    expect(book.get("a")?.offline).toBeUndefined();
  });

  test("frees nothing of a configured identity, and learns no other", () => {
    const book = newBook();
    book.reserve("a", 0);
    look(book, [sa(1, "a", "10.173.0.1"), sa(2, "x", "10.173.0.2")], { fixed: ["a"] });
    look(book, [], { fixed: ["a"], goodbyes: ["a"], now: 2 * HOUR });
    expect(addresses(book)).toEqual({ a: ["10.173.0.1"] });
    expect(book.get("a")?.offline?.until).toBeUndefined();
  });

  test("finds the pods that wait while another tunnel has their address, and lets them in when there is none", () => {
    const book = newBook();
    const [holder, other] = [sa(1, "a", "10.173.0.1"), sa(2, "a", "240.0.0.1")];
    look(book, [holder]);
    expect(look(book, [holder, other])).toMatchObject({ contests: [{ holder, waiting: [other] }], admitted: [] });
    expect(look(book, [other])).toMatchObject({ contests: [], admitted: [other] });
    expect(book.get("a")?.offline).toBeDefined();
  });

  test("of two tunnels with one address the elder is stale, but not while an IKE_SA is being rekeyed", () => {
    const book = newBook();
    const [old, young] = [sa(1, "a", "10.173.0.1"), sa(2, "a", "10.173.0.1")];
    expect(look(book, [young, old]).stale).toEqual([old]);
    expect(look(book, [sa(2, "a", "10.173.0.1", { childSas: [] }), old]).stale).toEqual([]);
    expect(look(book, [young, sa(1, "a", "10.173.0.1", { state: "REKEYING" })]).stale).toEqual([]);
    expect(look(book, [young, sa(1, "a", "10.173.0.1", { childSas: [] })]).stale).toEqual([]);
  });

  test("of two unknown pods with one identity the first has it, and the second what it got", () => {
    const book = newBook();
    const [one, two] = [sa(1, "a", "10.173.0.1"), sa(2, "a", "10.173.0.2")];
    expect(look(book, [two, one])).toMatchObject({ contests: [], admitted: [], stale: [] });
    expect(look(book, [two, one]).doubles).toEqual([{ holder: one, other: two }]);
    expect(addresses(book)).toEqual({ a: ["10.173.0.1"] });
  });

  test("believes charon, when it had to give somebody's address away", () => {
    const book = newBook();
    look(book, [sa(1, "a", "10.173.0.1")]);
    look(book, []);
    expect(look(book, [sa(2, "b", "10.173.0.1")]).told).toEqual(["a lost 10.173.0.1 to b: the pool was used up"]);
    expect(addresses(book)).toEqual({ b: ["10.173.0.1"] });
  });

  test.each(["*", "%any", "*@n1"])("keeps nothing for %s: a connection for it would be one for others", (identity) => {
    const book = newBook();
    look(book, [sa(1, identity, "10.173.0.1")]);
    expect(book.entries()).toEqual([]);
  });
});

describe("who ended a tunnel", () => {
  test("is its pod, when it said so, before or after charon tells that it is down", () => {
    const endings = new Endings();
    expect(endings.down(sa(1, "a", "10.173.0.1"))).toBeUndefined();
    expect(endings.deleted(1)?.remoteId).toBe("a");
    expect(endings.deleted(2)).toBeUndefined();
    expect(endings.down(sa(2, "b", "10.173.0.2"))?.remoteId).toBe("b");
  });

  test("is nobody, when it only went silent, or was rekeyed", () => {
    const endings = new Endings();
    expect(endings.down(sa(1, "a", "10.173.0.1"))).toBeUndefined();
    expect(endings.deleted(7)).toBeUndefined(); // of an IKE_SA that another replaced: never down
    expect(endings.down(sa(3, "c", "10.173.0.3"))).toBeUndefined();
  });
});
