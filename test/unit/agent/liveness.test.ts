import { describe, expect, test } from "vitest";
import { type Evidence, judged, type Look, type Verdict } from "../../../src/agent/liveness.ts";
import { tunnel } from "./support.ts";

const NOW = 1_800_000_000_000;
const look = (overrides: Partial<Look>): Look => ({
  health: "up",
  probed: true,
  doubtful: false,
  heard: false,
  tunnel: tunnel({ receivedBytes: 1000 }),
  now: NOW,
  ...overrides,
});

function verdictOf(...looks: readonly Look[]): Verdict {
  let evidence: Evidence = {};
  let verdict: Verdict = { state: "unknown", alive: undefined };
  for (const one of looks) [verdict, evidence] = judged(evidence, one);
  return verdict;
}

describe("a tunnel", () => {
  test("lives while probes are answered", () => {
    expect(verdictOf(look({}))).toEqual({ state: "up", alive: true });
    expect(verdictOf(look({ health: "degraded" }))).toEqual({ state: "degraded", alive: true });
  });

  test("is not given up for one answer that is late", () => {
    expect(verdictOf(look({ doubtful: true }))).toEqual({ state: "up", alive: true });
  });

  test("is down when nothing comes any more", () => {
    const silent = look({ doubtful: true });
    expect(verdictOf(silent, { ...silent, health: "down" })).toEqual({ state: "down", alive: false });
  });

  test("lives on when only the peer's agent is gone, and something still comes", () => {
    const silent = look({ doubtful: true });
    const later = look({ health: "down", tunnel: tunnel({ receivedBytes: 1080 }), now: NOW + 1500 });
    expect(verdictOf(silent, later)).toMatchObject({
      state: "degraded",
      alive: true,
      reason: expect.stringContaining("agent"),
    });
    expect(verdictOf(silent, later, { ...later, now: NOW + 10_000 })).toMatchObject({ state: "degraded" });
    expect(verdictOf(silent, later, { ...later, now: NOW + 20_000 })).toEqual({ state: "down", alive: false });
  });

  test("is down when the peer is heard, but does not hear us", () => {
    const silent = look({ doubtful: true, heard: true });
    const later = look({ health: "down", heard: true, tunnel: tunnel({ receivedBytes: 9000 }), now: NOW + 1500 });
    expect(verdictOf(silent, later)).toMatchObject({
      state: "down",
      alive: false,
      reason: expect.stringContaining("heard"),
    });
  });

  test("is found alive later as well: WireGuard itself speaks after 10 seconds", () => {
    const silent = look({ health: "down" });
    const later = { ...silent, tunnel: tunnel({ receivedBytes: 1032 }), now: NOW + 10_000 };
    expect(verdictOf(silent)).toMatchObject({ state: "down" });
    expect(verdictOf(silent, later)).toMatchObject({ state: "degraded" });
  });

  test("is judged by what came since the silence began, and not before it", () => {
    const before = look({ tunnel: tunnel({ receivedBytes: 1 }) });
    const silent = look({ doubtful: true, tunnel: tunnel({ receivedBytes: 1000 }) });
    expect(verdictOf(before, silent, { ...silent, health: "down" })).toMatchObject({ state: "down" });
  });

  test("begins to be judged anew when a device that died counts from zero", () => {
    const silent = look({ health: "down" });
    const anew = { ...silent, tunnel: tunnel({ receivedBytes: 0 }) };
    expect(verdictOf(silent, anew)).toMatchObject({ state: "down" });
    expect(verdictOf(silent, anew, { ...silent, tunnel: tunnel({ receivedBytes: 32 }) })).toMatchObject({
      state: "degraded",
    });
  });

  test("is not known yet when the agent has just been started, unless there was a handshake", () => {
    expect(verdictOf(look({ health: "unknown" }))).toEqual({ state: "unknown", alive: undefined });
    const fresh = tunnel({ established: NOW - 60_000 });
    expect(verdictOf(look({ health: "unknown", tunnel: fresh }))).toEqual({ state: "unknown", alive: true });
  });

  test("of a peer that cannot be probed is as its handshake is", () => {
    const unprobed = look({ health: "unknown", probed: false });
    expect(verdictOf({ ...unprobed, tunnel: tunnel({ established: NOW - 170_000 }) })).toEqual({
      state: "up",
      alive: true,
    });
    expect(verdictOf({ ...unprobed, tunnel: tunnel({ established: NOW - 190_000 }) })).toEqual({
      state: "down",
      alive: false,
    });
    expect(verdictOf({ ...unprobed, tunnel: undefined })).toEqual({ state: "down", alive: false });
  });
});
