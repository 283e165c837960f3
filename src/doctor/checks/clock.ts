import { type Finding, findingsOf } from "../finding.ts";
import type { ClockFacts } from "../gather/clock.ts";

const { ok, bad } = findingsOf("clock");

/** No podvpn is older: 2025-01-01. */
const BEFORE_PODVPN = Date.UTC(2025, 0, 1);

/** Milliseconds by which clocks may differ. */
const TOLERANCE = 60_000;

const SET = { command: "timedatectl set-ntp true" };

/**
 * Whether the clock is behind. WireGuard's peers refuse handshakes that are older than the last one (TAI64N): a node
 * whose clock was set back has no tunnel until that time comes again. Pure.
 */
export function checkClock({ now, latest }: ClockFacts): Finding[] {
  const time = iso(now);
  if (now < BEFORE_PODVPN)
    return [bad(`it is ${time} here: certificates are not valid yet, and peers refuse handshakes`, SET)];
  if (latest === undefined) return [ok(`it is ${time} here, and nobody noted a later time`)];
  const behind = latest.at - now;
  if (behind <= TOLERANCE) return [ok(`it is ${time} here; the latest noted time is ${iso(latest.at)}`)];
  const what = `it is ${time} here, and ${latest.what} at ${iso(latest.at)}, ${Math.round(behind / 1000)} s later`;
  return [bad(`${what}: peers refuse handshakes from a clock that was set back`, SET)];
}

function iso(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}
