import { type Finding, findingsOf } from "../finding.ts";
import type { ClockFacts } from "../gather/clock.ts";

const { ok, bad } = findingsOf("clock");

/** No podvpn is older: 2025-01-01. */
const BEFORE_PODVPN = Date.UTC(2025, 0, 1);

/** Milliseconds by which clocks may differ. */
const TOLERANCE = 60_000;

const SET = { command: "timedatectl set-ntp true" };

/**
 * Whether the clock is behind what was noted, and whether it is as the peers' are. WireGuard's peers refuse handshakes that
 * are older than the last one (TAI64N): a node whose clock was set back has no tunnel until that time comes again.
 * Certificates are judged by the clock. Pure.
 */
export function checkClock(facts: ClockFacts): Finding[] {
  return [...againstNotes(facts), ...againstPeers(facts)];
}

function againstNotes({ now, latest }: ClockFacts): Finding[] {
  const time = iso(now);
  if (now < BEFORE_PODVPN)
    return [bad(`it is ${time} here: certificates are not valid yet, and peers refuse handshakes`, SET)];
  if (latest === undefined) return [ok(`it is ${time} here, and nobody noted a later time`)];
  const behind = latest.at - now;
  if (behind <= TOLERANCE) return [ok(`it is ${time} here; the latest noted time is ${iso(latest.at)}`)];
  const what = `it is ${time} here, and ${latest.what} at ${iso(latest.at)}, ${seconds(behind)} later`;
  return [bad(`${what}: peers refuse handshakes from a clock that was set back`, SET)];
}

const WHY = "certificates are judged by it, and WireGuard's peers refuse handshakes from a clock that goes back";

/** Where most peers agree with each other, and not with this node, it is this node's clock that is wrong. */
function againstPeers({ now, peers }: ClockFacts): Finding[] {
  const off = peers.filter(({ ahead }) => Math.abs(ahead) > TOLERANCE);
  const [first] = off;
  if (first === undefined) {
    const most = Math.max(...peers.map(({ ahead }) => Math.abs(ahead)));
    return peers.length === 0 ? [] : [ok(`${nodes(peers.length)} within ${seconds(most)} of this node's`)];
  }
  if (peers.length === 1) {
    const what = `this node's clock is ${apart(-first.ahead)} that of ${first.name}: ${WHY}`;
    return [bad(what, { ...SET, remedy: `run it on ${first.name} as well: nobody can tell which of both is wrong` })];
  }
  const agreeing = off.filter(({ ahead }) => Math.abs(ahead - first.ahead) <= TOLERANCE);
  if (agreeing.length * 2 > peers.length) {
    const who = `${agreeing.length} of ${peers.length} peers (${agreeing.map(({ name }) => name).join(", ")})`;
    const back = `with WireGuard peers then refuse this node's handshakes until it is ${iso(now)} again`;
    const mending = first.ahead < 0 ? { ...SET, remedy: back } : SET;
    return [bad(`this node's clock is ${apart(-first.ahead)} those of ${who}: ${WHY}`, mending)];
  }
  return off.map(({ name, ahead }) =>
    bad(`the clock of ${name} is ${apart(ahead)} this node's: ${WHY}`, { remedy: `run on ${name}: ${SET.command}` }),
  );
}

function nodes(count: number): string {
  return count === 1 ? "the peer's clock is" : `the clocks of all ${count} peers are`;
}

function apart(ahead: number): string {
  return `${seconds(Math.abs(ahead))} ${ahead > 0 ? "ahead of" : "behind"}`;
}

function seconds(milliseconds: number): string {
  return `${Math.round(milliseconds / 1000)} s`;
}

function iso(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}
