import { describe, expect, test } from "vitest";
import type { Event } from "../../soak/support/event.ts";
import { beginning } from "../../soak/support/generate.ts";
import { SLOTS, type Slot } from "../../soak/support/slots.ts";
import { after, healing, mustTalk, type Step, sound } from "../../soak/support/state.ts";

function slot(name: string): Slot {
  const found = SLOTS.find((one) => one.name === name);
  if (found === undefined) throw new RangeError(name);
  return found;
}

/** The last step of several events. */
function last(...events: readonly [Event, ...Event[]]): Step {
  let step: Step = { state: beginning(), kept: [], mended: [] };
  for (const event of events) step = after(step.state, event);
  return step;
}

function names(slots: readonly Slot[]): string[] {
  return slots.map(({ name }) => name).sort();
}

describe("who must talk", () => {
  test("all pods of one type, and nobody across types", () => {
    const state = beginning();
    expect(mustTalk(state, slot("n1-s1"), slot("n3-s2"))).toBe(true);
    expect(mustTalk(state, slot("n1-w1"), slot("n3-w2"))).toBe(true);
    expect(mustTalk(state, slot("n1-s1"), slot("n1-w1"))).toBe(false);
    expect(mustTalk(state, slot("n1-s1"), slot("n1-s1"))).toBe(false);
  });

  test("without its cable a node's pods of wireguard among themselves, of strongswan nobody", () => {
    const { state } = last({ kind: "link-down", node: 1 });
    expect(mustTalk(state, slot("n1-w1"), slot("n1-w2"))).toBe(true);
    expect(mustTalk(state, slot("n1-w1"), slot("n2-w1"))).toBe(false);
    expect(mustTalk(state, slot("n1-s1"), slot("n1-s2"))).toBe(false);
    expect(mustTalk(state, slot("n2-s1"), slot("n3-s2"))).toBe(true);
  });

  test("with a dead hub all of wireguard; with its charon alive all of strongswan, too", () => {
    const down = last({ kind: "hub-killed", part: "charon" }).state;
    expect(mustTalk(down, slot("n1-s1"), slot("n2-s1"))).toBe(false);
    expect(mustTalk(down, slot("n1-w1"), slot("n2-w1"))).toBe(true);
    const headless = last({ kind: "hub-killed", part: "process" });
    expect(mustTalk(headless.state, slot("n1-s1"), slot("n2-s1"))).toBe(true);
    expect(names(headless.kept)).toEqual(["n1-s1", "n1-s2", "n2-s1", "n2-s2", "n3-s1", "n3-s2"]);
  });
});

describe("a pod that has to be added anew", () => {
  test("is mended at once where nothing keeps it from that", () => {
    const { state, mended } = last({ kind: "charon-killed", slot: slot("n1-s1") });
    expect(names(mended)).toEqual(["n1-s1"]);
    expect(state.owed.size).toBe(0);
  });

  test("is owed it as long as the hub is down, and mended when that is back; the others come back by themselves", () => {
    const fault = [{ kind: "hub-terminated" }, { kind: "charon-killed", slot: slot("n1-s1") }] as const;
    const during = last(...fault);
    expect(during.mended).toEqual([]);
    expect(names([...during.state.owed])).toEqual(["n1-s1"]);
    expect(sound(during.state)).not.toContain(slot("n1-s1"));
    const end = last(...fault, { kind: "hub-started" });
    expect(names(end.mended)).toEqual(["n1-s1"]);
    expect(names(end.kept)).toEqual(["n1-s2", "n2-s1", "n2-s2", "n3-s1", "n3-s2"]);
    expect(end.state.owed.size).toBe(0);
  });

  test("is owed it until the last of two faults has gone", () => {
    const faults = [
      { kind: "disk-full", node: 1, mount: "/run" },
      { kind: "link-down", node: 1 },
      { kind: "harm", slot: slot("n1-s1"), what: "link" },
      { kind: "disk-freed", node: 1 },
    ] as const;
    expect(names([...last(...faults).state.owed])).toEqual(["n1-s1"]);
    expect(names(last(...faults, { kind: "link-up", node: 1 }).mended)).toEqual(["n1-s1"]);
  });

  test("is not owed anything any more when it is not wanted", () => {
    const faults = [{ kind: "hub-terminated" }, { kind: "charon-killed", slot: slot("n1-s1") }] as const;
    const { state } = last(...faults, { kind: "del", slot: slot("n1-s1"), netns: "there" });
    expect(state.owed.size).toBe(0);
    expect(state.wanted.has(slot("n1-s1"))).toBe(false);
  });
});

test("neighbours of a pod that goes stay as they are", () => {
  const { kept, mended } = last({ kind: "gc", slot: slot("n2-w1") });
  expect(names(kept)).toEqual(["n2-s1", "n2-s2", "n2-w2"]);
  expect(mended).toEqual([]);
});

test("what heals is the end of each lasting fault", () => {
  const { state } = last(
    { kind: "hub-killed", part: "process" },
    { kind: "link-down", node: 2 },
    { kind: "disk-full", node: 3, mount: "/run" },
  );
  const end = healing(state).reduce((before, event) => after(before, event).state, state);
  expect(healing(end)).toEqual([]);
  expect(sound(end)).toEqual(SLOTS);
});
