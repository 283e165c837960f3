import fc from "fast-check";
import { expect, test } from "vitest";
import { Track } from "../../../../src/agent/probe/track.ts";
import { address } from "../support.ts";

const PACE = { interval: 1000, doubt: 250, rest: 5000 };
const LIMITS = { downAfter: 3000, degradedLoss: 0.2 };
const ONE = address("10.101.2.1");

test("a track that rests would have found nothing to do: those that are left alone then come to the same", () => {
  const step = fc.record({
    pause: fc.integer({ min: 1, max: 400 }),
    answers: fc.boolean(),
    event: fc.constantFrom("none", "none", "none", "heard", "hurry", "forgive"),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 300 }), (steps) => {
      const [always, rested] = [1, 2].map(() => new Track([ONE], 7, PACE, LIMITS, 100));
      if (always === undefined || rested === undefined) return;
      let now = 0;
      let left = 0;
      for (const { pause, answers, event } of steps) {
        now += pause;
        for (const track of [always, rested]) {
          if (event === "heard") track.heard(now);
          if (event === "hurry") track.hurry(now);
          if (event === "forgive") track.forgive(pause);
        }
        const due = always.tick(now);
        if (rested.rests(now)) left += 1;
        else expect(rested.tick(now)).toEqual(due);
        if (rested.rests(now)) expect(rested.health).toBe(always.health);
        if (due !== undefined && answers) {
          const answer = { ...due.probe, received: 1 };
          for (const track of [always, rested]) track.answered(answer, ONE, now + 5);
        }
        expect(rested.report(now + 6)).toEqual(always.report(now + 6));
        expect(rested.isDoubtful).toBe(always.isDoubtful);
      }
      if (steps.every(({ answers, event }) => answers && event === "none")) expect(left).toBeGreaterThan(0);
    }),
  );
});

test("a peer that is well is left alone between its probe's answer and the next probe", () => {
  const track = new Track([ONE], 7, PACE, LIMITS, 0);
  const due = track.tick(0);
  if (due === undefined) throw new Error("no probe");
  expect(track.rests(100)).toBe(true);
  track.answered({ ...due.probe, received: 1 }, ONE, 20);
  expect([track.rests(999), track.rests(1000)]).toEqual([true, false]);
});
