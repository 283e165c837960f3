import { describe, expect, test } from "vitest";
import { type LoopState, unhealthy, unready } from "../../../../src/agent/http/checks.ts";

const loop = (overrides: Partial<LoopState> = {}): LoopState => ({
  now: 1_000_000,
  roundEnded: 990_000,
  registryRead: true,
  applied: true,
  failing: [],
  ...overrides,
});
const FAILING = { driver: "wireguard", what: "no device", since: 995_000 };

describe("an agent", () => {
  test("is healthy and ready when its loop turns and its drivers work", () => {
    expect(unhealthy(loop())).toEqual([]);
    expect(unready(loop())).toEqual([]);
  });

  test("is unhealthy when a round does not end, or none begins", () => {
    expect(unhealthy(loop({ roundSince: 1_000_000 - 60_000 }))).toEqual([]);
    expect(unhealthy(loop({ roundSince: 1_000_000 - 61_000 }))).toEqual(["a round has been under way for 61 s"]);
    expect(unhealthy(loop({ roundEnded: 1_000_000 - 91_000 }))).toEqual(["the last round was 91 s ago"]);
  });

  test("is not ready at once when a driver fails, and unhealthy when it goes on", () => {
    expect(unready(loop({ failing: [FAILING] }))).toEqual(["wireguard fails: no device"]);
    expect(unhealthy(loop({ failing: [FAILING] }))).toEqual([]);
    expect(unhealthy(loop({ failing: [{ ...FAILING, since: 960_000 }] }))).toEqual([
      "wireguard has been failing for 40 s: no device",
    ]);
  });

  test("is not ready before it has read the registry and applied the tunnels", () => {
    expect(unready(loop({ registryRead: false, applied: false }))).toHaveLength(2);
  });
});
