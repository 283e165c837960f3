import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Side } from "./support/charons.ts";

const [A, B] = [
  { key: "a1", prefixes: ["10.101.1.0/24", "fd00:101:1::/64"] },
  { key: "b1", prefixes: ["10.101.2.0/24", "fd00:101:2::/64"] },
];

/** Two nodes that have heard of each other, of which the first is to begin. */
function pair(): readonly [Side, Side] {
  const [a, b] = [new Side("a", A, true), new Side("b", B, false)];
  a.meet(b);
  b.meet(a);
  return [a, b];
}

/** Applies on both sides until nothing that they do changes anything. @throws Error when they do not come to an end. */
function settle(...sides: readonly Side[]): void {
  for (let round = 0; round < 20; round += 1) {
    const before = sides.map((side) => side.text).join();
    for (const side of sides) {
      side.tried.clear();
      side.apply();
    }
    if (sides.map((side) => side.text).join() === before) return;
  }
  throw new Error("the two sides do not come to rest");
}

function hear(...sides: readonly Side[]): void {
  for (const side of sides) side.heard = side.other.told;
}

function lossesOf(...sides: readonly Side[]): readonly string[] {
  return [...sides.flatMap(({ name, losses }) => losses.map((loss) => `${name}: ${loss}`)), ...outagesOf(...sides)];
}

function outagesOf(...sides: readonly Side[]): readonly string[] {
  return sides.flatMap(({ name, outages }) => outages.map((outage) => `${name}: ${outage}`));
}

/** One tunnel, and both send by it. */
function expectOne(a: Side, b: Side): void {
  expect([a.sas.length, b.sas.length]).toEqual([1, 1]);
  expect(a.sendsBy).toBe(a.sas[0]?.tunnel);
  expect(b.sendsBy).toBe(a.sendsBy);
  expect(a.progress).toMatchObject({ isRight: true, isSettled: true });
  expect(b.progress).toMatchObject({ isRight: true, isSettled: true });
}

describe("a tunnel of the mesh", () => {
  test("is brought up by the side that is to begin, whoever is there first", () => {
    for (const order of [
      [0, 1],
      [1, 0],
    ] as const) {
      const both = pair();
      settle(...order.map((index) => both[index]).filter((side) => side !== undefined));
      const [a, b] = both;
      expectOne(a, b);
      expect(a.sas[0]?.initiator).toBe(true);
    }
  });

  test("is left alone when nothing has changed, also by an agent that is new", () => {
    const [a, b] = pair();
    settle(a, b);
    const before = a.sendsBy;
    expect([a.apply(), b.apply()]).toEqual([[], []]);
    expect(a.sendsBy).toBe(before);
  });

  test("is replaced without loss when a node's key changes, as often as it does", () => {
    const [a, b] = pair();
    settle(a, b);
    for (const [count, side] of [a, b, b, a, a, a].entries()) {
      const before = side.sendsBy;
      const { next: _, ...told } = side.told;
      side.told = { ...told, next: `${side.name}-${count}` };
      settle(a, b); // the node has its next key, and nobody has heard of it
      expect(side.sendsBy).toBe(before);
      hear(a, b);
      settle(a, b);
      expectOne(a, b);
      expect(side.sendsBy).not.toBe(before);
      const moved = side.sendsBy;
      side.told = { ...told, key: `${side.name}-${count}` };
      settle(a, b);
      hear(a, b);
      settle(a, b);
      expect(side.sendsBy).toBe(moved); // nothing but the connections has changed
    }
    expect(lossesOf(a, b)).toEqual([]);
  });

  test("is replaced without loss when a prefix comes or goes, whichever side hears of it first", () => {
    for (const first of ["a", "b"]) {
      const [a, b] = pair();
      settle(a, b);
      for (const prefixes of [[...A.prefixes, "10.101.7.0/24"], A.prefixes, ["10.101.9.0/24"]]) {
        a.told = { ...a.told, prefixes };
        if (first === "a") settle(a);
        hear(b);
        settle(b);
        settle(a, b);
        expectOne(a, b);
        expect(b.sas[0]?.remote.length).toBe(prefixes.length);
      }
      expect(lossesOf(a, b)).toEqual([]);
    }
  });

  test("is there again after either charon was killed, and begun by that side", () => {
    for (const index of [0, 1] as const) {
      const both = pair();
      const [a, b] = both;
      settle(a, b);
      const dead = both[index];
      dead.die();
      settle(dead);
      expect(dead.sas[0]?.initiator).toBe(true);
      settle(a, b);
      expectOne(a, b);
      expect(lossesOf(a, b)).toEqual([]);
    }
  });

  test("is replaced by the side that waited in vain for the other one", () => {
    const [a, b] = pair();
    settle(a, b);
    a.told = { ...a.told, next: "a2" };
    settle(a);
    expect(a.progress).toMatchObject({ isRight: false, waits: true });
    a.isLate = true;
    expect(a.apply().map((step) => step.do)).toEqual(["initiate"]);
  });
});

type Event = {
  readonly do: "apply" | "interrupted" | "hear" | "announce" | "promote" | "withdraw" | "prefixes";
  readonly side: number;
  readonly extra: readonly string[];
};

const CHANGES = ["hear", "announce", "promote", "withdraw", "prefixes"] as const;

function events(applies: readonly Event["do"][]): fc.Arbitrary<Event[]> {
  const event = fc.record({
    do: fc.constantFrom<Event["do"]>(...applies, ...CHANGES),
    side: fc.nat(1),
    extra: fc.subarray(["10.101.7.0/24", "10.101.8.0/24"]),
  });
  return fc.array(event, { maxLength: 40 });
}

function happens({ do: what, extra }: Event, side: Side, count: number): void {
  const { key, next, prefixes } = side.told;
  switch (what) {
    case "apply":
      side.apply();
      break;
    case "interrupted":
      side.apply(() => side.other.apply());
      break;
    case "hear":
      hear(side);
      break;
    case "announce":
      side.told = { key, next: `${side.name}-${count}`, prefixes };
      break;
    case "promote":
      // Only when the other side has moved: as the agent does it.
      if (next !== undefined && side.progress?.isSettled && side.other.heard?.next === next) {
        side.told = { key: next, prefixes };
      }
      break;
    case "withdraw":
      side.told = { key, prefixes };
      break;
    case "prefixes":
      side.told = { ...side.told, prefixes: [...(side.name === "a" ? A : B).prefixes, ...extra] };
  }
}

function afterAll(all: readonly Event[]): readonly [Side, Side] {
  const both = pair();
  const [a, b] = both;
  settle(a, b);
  for (const [count, one] of all.entries()) happens(one, one.side === 0 ? a : b, count);
  hear(a, b);
  settle(a, b);
  return both;
}

function expectRest(a: Side, b: Side): void {
  for (const side of [a, b]) side.isLate = true; // of two that are alike one is left only after a while
  settle(a, b);
  expectOne(a, b);
}

test("whatever changes, in whatever order: nothing is lost, and in the end one tunnel is left", () => {
  fc.assert(
    fc.property(events(["apply"]), (all) => {
      const [a, b] = afterAll(all);
      expect(lossesOf(a, b)).toEqual([]);
      expectRest(a, b);
    }),
    { numRuns: 200 },
  );
});

test("also when the other side acts in the middle: there is never no tunnel, and in the end one", () => {
  fc.assert(
    fc.property(events(["apply", "interrupted"]), (all) => {
      const [a, b] = afterAll(all);
      expect(outagesOf(a, b)).toEqual([]);
      expectRest(a, b);
    }),
    { numRuns: 200 },
  );
});
