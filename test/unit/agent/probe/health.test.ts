import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Health, type HealthLimits, nextHealth, type Signs } from "../../../../src/agent/probe/health.ts";
import { WINDOW } from "../../../../src/agent/probe/window.ts";

const LIMITS: HealthLimits = { downAfter: 2500, degradedLoss: 0.05 };
const signs = (answers: readonly boolean[], silence = 0): Signs => ({ silence, everAnswered: true, answers });
const lost = (count: number, of = WINDOW) => Array.from({ length: of }, (_, index) => index >= count);

/** A peer that is probed once a second and answers as `answers` says: its health after each probe. */
function story(answers: readonly boolean[], from: Health = "unknown"): Health[] {
  let health = from;
  let silence = 0;
  let ever = from !== "unknown";
  return answers.map((answered, index) => {
    silence = answered ? 0 : silence + 1000;
    ever ||= answered;
    const window = answers.slice(Math.max(0, index + 1 - 2 * WINDOW), index + 1);
    health = nextHealth(health, { silence, everAnswered: ever, answers: window }, LIMITS);
    return health;
  });
}

function changes(healths: readonly Health[]): number {
  return healths.filter((health, index) => index > 0 && health !== healths[index - 1]).length;
}

/** Probes without an answer, one after the other, of a pattern that is repeated for ever. */
function longestGap(pattern: readonly boolean[]): number {
  const twice = [...pattern, ...pattern].map((answered) => (answered ? " " : "x")).join("");
  return Math.max(...twice.split(" ").map((gap) => gap.length));
}

describe("the health of a peer", () => {
  test("is not known before its first answer, or a silence", () => {
    expect(nextHealth("unknown", { silence: 2400, everAnswered: false, answers: [false] }, LIMITS)).toBe("unknown");
    expect(nextHealth("unknown", { silence: 2500, everAnswered: false, answers: [false] }, LIMITS)).toBe("down");
    expect(nextHealth("unknown", signs([true]), LIMITS)).toBe("up");
  });

  test("is down after a silence, whatever it was", () => {
    for (const before of ["unknown", "up", "degraded", "down"] as const) {
      expect(nextHealth(before, signs(lost(0), 2500), LIMITS)).toBe("down");
    }
    expect(nextHealth("up", signs(lost(0), 2499), LIMITS)).toBe("up");
  });

  test("is degraded above a loss, and up again with half of it", () => {
    expect(nextHealth("up", signs(lost(1)), LIMITS)).toBe("up");
    expect(nextHealth("up", signs([false, ...lost(0, WINDOW - 4), true, false, true]), LIMITS)).toBe("degraded");
    expect(nextHealth("degraded", signs(lost(1)), LIMITS)).toBe("degraded");
    expect(nextHealth("degraded", signs(lost(0)), LIMITS)).toBe("up");
  });

  test("is not degraded on the way to being down", () => {
    expect(nextHealth("up", signs([...lost(0), false, false, false, false]), LIMITS)).toBe("up");
    expect(nextHealth("up", signs([...lost(0), false, false, true, false, true]), LIMITS)).toBe("degraded");
  });

  test("is not degraded for one gap, as that of an agent that is started anew", () => {
    expect(nextHealth("up", signs([...lost(0), false, false, false, false, true]), LIMITS)).toBe("up");
  });

  test("is not degraded for the one probe of few that was lost", () => {
    expect(nextHealth("up", signs([true, false, true]), LIMITS)).toBe("up");
  });

  test("is not up again for few probes that were not lost", () => {
    expect(nextHealth("degraded", signs(lost(0, WINDOW - 1)), LIMITS)).toBe("degraded");
  });

  test("is reached again after three answers in a row, or four of ten", () => {
    const before = lost(WINDOW);
    expect(nextHealth("down", signs([...before, true, true]), LIMITS)).toBe("down");
    expect(nextHealth("down", signs([...before, true, true, true]), LIMITS)).toBe("up");
    expect(nextHealth("down", signs([...before, true, false, true, false, true]), LIMITS)).toBe("down");
    expect(nextHealth("down", signs([...before, true, false, true, false, true, false, true]), LIMITS)).toBe(
      "degraded",
    );
  });

  test("does not flap with any loss that repeats itself and leaves no silence", () => {
    const pattern = fc
      .array(fc.boolean(), { minLength: 1, maxLength: 7 })
      .filter((repeated) => longestGap(repeated) < 3);
    const froms = fc.constantFrom<Health>("unknown", "up", "degraded", "down");
    fc.assert(
      fc.property(pattern, froms, (repeated, from) => {
        const rounds = Array.from({ length: 40 }, () => repeated).flat();
        const healths = story(rounds, from);
        expect(changes(healths.slice(healths.length / 2))).toBe(0);
        expect(changes(healths)).toBeLessThanOrEqual(3);
      }),
    );
  });

  test("follows any loss at most once in three probes", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 30, maxLength: 200 }), (answers) => {
        expect(changes(story(answers, "up"))).toBeLessThanOrEqual(Math.ceil(answers.length / 3) + 1);
      }),
    );
  });
});
