import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Event, type Kind, describe as line } from "../../soak/support/event.ts";
import { beginning, endOf, generate } from "../../soak/support/generate.ts";
import { soakOptions } from "../../soak/support/options.ts";
import { SLOTS } from "../../soak/support/slots.ts";
import { after, healing, impeded, type State, sound } from "../../soak/support/state.ts";

const seeds = fc.integer({ min: 0, max: 1_000_000 });

/** Each event with the state that it finds. */
function* told(events: readonly Event[]): Generator<{ event: Event; state: State }> {
  let state = beginning();
  for (const event of events) {
    yield { event, state };
    state = after(state, event).state;
  }
}

/** Whether an event can happen at all. Said once more, in other words than the generator's. */
function isPossible(event: Event, state: State): boolean {
  switch (event.kind) {
    case "add":
      return !state.wanted.has(event.slot);
    case "add-killed":
      return !state.wanted.has(event.slot) && !impeded(state, event.slot);
    case "charon-killed":
    case "charon-stopped":
      return event.slot.plugin === "strongswan" && sound(state).includes(event.slot);
    case "del":
    case "del-killed":
    case "gc":
      return sound(state).includes(event.slot);
    case "harm":
      return (
        sound(state).includes(event.slot) &&
        (event.slot.plugin === "strongswan" || !["rules", "filter", "tunnel"].includes(event.what))
      );
    case "wireguard-go-killed":
    case "wireguard-go-stopped":
      return sound(state).some(({ node, plugin }) => plugin === "wireguard" && node === event.node);
    case "hub-killed":
    case "hub-terminated":
      return state.hub === "serving";
    case "hub-started":
      return state.hub !== "serving";
    case "link-down":
      return !state.cut.has(event.node);
    case "link-up":
      return state.cut.has(event.node);
    case "disk-full":
    case "file-lost":
      return !state.full.has(event.node);
    case "disk-freed":
      return state.full.has(event.node);
    case "check":
    case "clock":
    case "reboot":
      return true;
  }
}

describe("the events of a soak", () => {
  test("are the same for the same seed, and others for another", () => {
    expect(generate(7, 200)).toEqual(generate(7, 200));
    expect(generate(7, 200)).not.toEqual(generate(8, 200));
  });

  test("of a shorter list are the first of a longer one, so that a failure is repeated without what came after", () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 0, max: 80 }), (seed, count) => {
        expect(generate(seed, 80).slice(0, count)).toEqual(generate(seed, count));
      }),
      { numRuns: 50 },
    );
  });

  test("are all possible when they happen", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        for (const { event, state } of told(generate(seed, 200))) {
          expect(isPossible(event, state), line(event)).toBe(true);
        }
      }),
    );
  });

  test("are of all kinds, also in the short list that runs by default", () => {
    const all: Record<Kind, true> = {
      add: true,
      del: true,
      "add-killed": true,
      "del-killed": true,
      gc: true,
      check: true,
      "charon-killed": true,
      "charon-stopped": true,
      "wireguard-go-killed": true,
      "wireguard-go-stopped": true,
      "hub-killed": true,
      "hub-terminated": true,
      "hub-started": true,
      "link-down": true,
      "link-up": true,
      reboot: true,
      "file-lost": true,
      clock: true,
      "disk-full": true,
      "disk-freed": true,
      harm: true,
    };
    const { events, seed } = soakOptions({});
    expect(new Set(generate(seed, events).map(({ kind }) => kind))).toEqual(new Set(Object.keys(all)));
    fc.assert(
      fc.property(seeds, (each) => {
        expect(new Set(generate(each, 80).map(({ kind }) => kind))).toEqual(new Set(Object.keys(all)));
      }),
      { numRuns: 50 },
    );
  });

  test("have at most two lasting faults at once, none for more than four events", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const events = generate(seed, 200);
        for (const { state } of told(events)) expect(healing(state).length).toBeLessThanOrEqual(2);
        for (const [at, event] of events.slice(0, -5).entries()) {
          const end = endOf(event);
          if (end !== undefined) expect(events.slice(at + 1, at + 6).map(line)).toContain(line(end));
        }
      }),
    );
  });

  test("begin with a pod in each slot, which all talk", () => {
    expect(sound(beginning())).toEqual(SLOTS);
  });
});

describe("what may be asked of a soak", () => {
  test("is a number of events and a seed", () => {
    expect(soakOptions({ PODVPN_SOAK_EVENTS: "200", PODVPN_SOAK_SEED: "42" })).toEqual({ events: 200, seed: 42 });
  });

  test.each(["-1", "1.5", "many", "9999999999"])("is not %s", (text) => {
    expect(() => soakOptions({ PODVPN_SOAK_EVENTS: text })).toThrow(`PODVPN_SOAK_EVENTS is "${text}"`);
  });
});
