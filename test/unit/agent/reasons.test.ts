import { describe, expect, test, vi } from "vitest";
import { backOff } from "../../../src/agent/back-off.ts";
import { Reasons } from "../../../src/agent/reasons.ts";

describe("reasons", () => {
  test("are gathered until somebody has time, each once", async () => {
    using reasons = new Reasons();
    reasons.add("registry");
    reasons.add("timer");
    reasons.add("registry");
    expect(await reasons.take(new AbortController().signal)).toEqual(new Set(["registry", "timer"]));
  });

  test("wake who waits, and one that comes meanwhile is not lost", async () => {
    using reasons = new Reasons();
    const signal = new AbortController().signal;
    const waiting = reasons.take(signal);
    reasons.add("died");
    expect(await waiting).toEqual(new Set(["died"]));
    reasons.add("health");
    expect(await reasons.take(signal)).toEqual(new Set(["health"]));
  });

  test("are none when the wait is over", async () => {
    using reasons = new Reasons();
    const stop = new AbortController();
    const waiting = reasons.take(stop.signal);
    stop.abort();
    expect(await waiting).toEqual(new Set());
    reasons.add("died");
    expect(await reasons.take(stop.signal)).toEqual(new Set());
  });

  test("that are put off come when the earliest of them is due, once", async () => {
    vi.useFakeTimers();
    try {
      using reasons = new Reasons();
      reasons.addLater("retry", 5000);
      reasons.addLater("retry", 1000);
      reasons.addLater("retry", 3000);
      const taken = vi.fn();
      const signal = new AbortController().signal;
      void reasons.take(signal).then(taken);
      await vi.advanceTimersByTimeAsync(999);
      expect(taken).not.toHaveBeenCalled();
      await vi.advanceTimersByTimeAsync(1);
      expect(taken).toHaveBeenCalledWith(new Set(["retry"]));
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});

test("what fails is tried again ever more rarely, and never given up", () => {
  expect([1, 2, 3, 4, 5, 6, 7, 8, 100].map(backOff)).toEqual([
    500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000,
  ]);
});
