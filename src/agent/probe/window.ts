/** How many probes loss is told of. */
export const WINDOW = 20;

/** How many are kept: a peer that was degraded must be well for twice as long as it takes to become so. */
const KEPT = 2 * WINDOW;

/** A probe that was sent. */
export interface Sent {
  readonly sequence: number;
  /** In milliseconds, of any clock that does not jump. */
  readonly at: number;
  readonly state: "waiting" | "answered" | "lost";
  /** The peer said that it came. */
  readonly arrived: boolean;
}

/** Shares of what was lost, from 0 to 1. */
export interface Loss {
  /** On the way to the peer. */
  readonly out: number;
  /** Of the answers, on the way back. */
  readonly in: number;
  /** Of the questions, on either way. */
  readonly roundTrip: number;
}

/** The last probes, oldest first; twice as many as loss is told of. */
export type Window = readonly Sent[];

/** Pure. */
export function withSent(window: Window, sequence: number, at: number): Window {
  return [...window.slice(1 - KEPT), { sequence, at, state: "waiting" as const, arrived: false }];
}

/** Those that wait for longer than `patience` ms have been lost, unless an answer comes after all. Pure. */
export function withLost(window: Window, now: number, patience: number): Window {
  const isLate = ({ state, at }: Sent) => state === "waiting" && now - at >= patience;
  return window.some(isLate) ? window.map((one) => (isLate(one) ? { ...one, state: "lost" } : one)) : window;
}

/** @param received Of an answer: bit n is the probe n before `sequence`. Pure. */
export function withAnswer(window: Window, sequence: number, received: number): Window {
  return window.map((one) => {
    const before = (sequence - one.sequence) | 0;
    if (before < 0 || before > 31) return one;
    const arrived = one.arrived || ((received >>> before) & 1) === 1;
    const state = before === 0 ? "answered" : one.state;
    // Nearly always it is only the last one: of a thousand peers, each second, the others would be garbage.
    return arrived === one.arrived && state === one.state ? one : { ...one, arrived, state };
  });
}

/** Those after the last one that was lost. Pure. */
export function sinceLoss(window: Window): Window {
  return window.slice(window.findLastIndex(({ state }) => state === "lost") + 1);
}

/**
 * What was lost, of the last {@link WINDOW} probes whose fate is known. What came after the last one that was answered is lost on a way
 * that is not known: it counts for the way out. Undefined where there is none. Pure.
 */
export function lossOf(window: Window): Loss | undefined {
  const decided = window.filter(({ state }) => state !== "waiting").slice(-WINDOW);
  if (decided.length === 0) return undefined;
  const arrived = decided.filter((one) => one.arrived).length;
  const answered = decided.filter(({ state }) => state === "answered").length;
  return {
    out: 1 - arrived / decided.length,
    in: arrived === 0 ? 0 : 1 - answered / arrived,
    roundTrip: 1 - answered / decided.length,
  };
}
