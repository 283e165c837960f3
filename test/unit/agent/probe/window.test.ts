import { describe, expect, test } from "vitest";
import { bitsFrom, type Received, received } from "../../../../src/agent/probe/received.ts";
import { measured, patienceFor } from "../../../../src/agent/probe/round-trip.ts";
import { lossOf, WINDOW, type Window, withAnswer, withLost, withSent } from "../../../../src/agent/probe/window.ts";

/** Probes 0 to `count - 1`, sent each second. */
function sent(count: number, first = 0): Window {
  return Array.from({ length: count }, (_, index) => (first + index) >>> 0).reduce(
    (window, sequence, index) => withSent(window, sequence, index * 1000),
    [] as Window,
  );
}

describe("loss", () => {
  test("is not known before the fate of a probe is", () => {
    expect(lossOf([])).toBeUndefined();
    expect(lossOf(sent(1))).toBeUndefined();
  });

  test("tells the two directions apart by what the peer received", () => {
    // Of four probes the second did not come, and the answer to the third was lost.
    let window = sent(4);
    window = withAnswer(window, 0, 0b1);
    window = withAnswer(window, 3, 0b1011);
    const loss = lossOf(withLost(window, 60_000, 1000));
    expect(loss).toEqual({ out: 0.25, in: expect.closeTo(1 / 3), roundTrip: 0.5 });
  });

  test("is on the way out as long as nothing comes back", () => {
    expect(lossOf(withLost(sent(5), 60_000, 1000))).toEqual({ out: 1, in: 0, roundTrip: 1 });
  });

  test("is taken back for an answer that comes late after all", () => {
    const late = withAnswer(withLost(sent(1), 60_000, 1000), 0, 1);
    expect(lossOf(late)).toEqual({ out: 0, in: 0, roundTrip: 0 });
  });

  test("is of the last probes only", () => {
    const window = sent(3 * WINDOW);
    expect(window).toHaveLength(2 * WINDOW);
    const answered = Array.from({ length: WINDOW }, (_, index) => 2 * WINDOW + index);
    const late = answered.reduce((after, sequence) => withAnswer(after, sequence, 1), window);
    expect(lossOf(withLost(late, 600_000, 1000))).toEqual({ out: 0, in: 0, roundTrip: 0 });
  });

  test("goes on when sequences wrap around", () => {
    const window = sent(4, 0xfffffffe); // …fe, …ff, 0, 1
    const loss = lossOf(withLost(withAnswer(window, 1, 0b1111), 60_000, 1000));
    expect(loss).toMatchObject({ out: 0, roundTrip: 0.75 });
  });

  test("waits as long as it was told", () => {
    expect(withLost(sent(1), 999, 1000)[0]?.state).toBe("waiting");
    expect(withLost(sent(1), 1000, 1000)[0]?.state).toBe("lost");
  });
});

describe("what was received of a sender", () => {
  const all = (...sequences: readonly number[]) =>
    sequences.reduce<Received | undefined>((state, sequence) => received(state, { session: 1, sequence }), undefined);

  test("is a bit for each of the last 32 probes", () => {
    expect(all(0, 1, 3)).toEqual({ session: 1, sequence: 3, bits: 0b1101 });
    expect(all(5, 100)).toEqual({ session: 1, sequence: 100, bits: 1 });
    expect(all(...Array.from({ length: 40 }, (_, index) => index))?.bits).toBe(0xffffffff);
  });

  test("takes those that come out of order, and those that come twice", () => {
    expect(all(0, 2, 1, 2)).toEqual({ session: 1, sequence: 2, bits: 0b111 });
    expect(all(100, 1)).toEqual({ session: 1, sequence: 100, bits: 1 });
  });

  test("wraps around", () => {
    expect(all(0xffffffff, 0)).toEqual({ session: 1, sequence: 0, bits: 0b11 });
  });

  test("begins anew with a new session", () => {
    expect(received(all(7, 8), { session: 2, sequence: 0 })).toEqual({ session: 2, sequence: 0, bits: 1 });
  });

  test("is told from the probe that is answered", () => {
    const state = all(0, 1, 3, 2);
    expect(state && bitsFrom(state, 2)).toBe(0b111);
    expect(state && bitsFrom(state, 3)).toBe(0b1111);
  });
});

describe("the round trip", () => {
  test("is smoothed as RFC 6298 has it", () => {
    const first = measured(undefined, 100);
    expect(first).toEqual({ smoothed: 100, variation: 50 });
    expect(measured(first, 180)).toEqual({ smoothed: 110, variation: 57.5 });
  });

  test("bounds how long an answer is waited for", () => {
    expect(patienceFor(undefined)).toBe(1000);
    expect(patienceFor({ smoothed: 1, variation: 0.1 })).toBe(250);
    expect(patienceFor({ smoothed: 300, variation: 50 })).toBe(500);
    expect(patienceFor({ smoothed: 3000, variation: 50 })).toBe(1000);
  });
});
