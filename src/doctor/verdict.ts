import type { PathFacts } from "./gather/paths.ts";

/** Milliseconds: no session of WireGuard's is older (REJECT-AFTER-TIME). */
const REJECT_AFTER = 180_000;

/** What all measures of a path together say of its tunnel. */
export type Verdict =
  /** Something answered through it. */
  | "answers"
  /** The peer is there: it took a handshake or sent something, but nobody answered a ping. */
  | "alive"
  /** Pings were answered, and the tunnel has carried none of them. */
  | "plain"
  /** What was sent into it went out, and nothing came back. */
  | "silent"
  /** Nothing was sent, and it is not known to work. */
  | "untried";

/** Pure. @param now Milliseconds since 1970. */
export function verdictOf(path: PathFacts, now: number): Verdict {
  const { sent, received, answered } = trafficOf(path);
  if (answered.length > 0) return isCarried(path) ? "answers" : "plain";
  if (received > 0) return "alive";
  const established = path.after?.established;
  const isYoung = established !== undefined && Math.abs(now - established) <= REJECT_AFTER;
  if (path.pings.length === 0 && isYoung) return "alive"; // else the pings tell more than a session of before
  return path.pings.length > 0 || sent > 0 ? "silent" : "untried";
}

/** What went through the tunnel while it was measured, in bytes, and the pings that were answered. Pure. */
export function trafficOf({ before, after, pings }: PathFacts) {
  const sent = Math.max(0, (after?.sent ?? 0) - (before?.sent ?? 0));
  const received = Math.max(0, (after?.received ?? 0) - (before?.received ?? 0));
  return { sent, received, answered: pings.filter((ping) => ping.received > 0) };
}

/** Whether the tunnel has sent as much as was answered, and received it. Pure. */
export function isCarried(path: PathFacts): boolean {
  const { sent, received } = trafficOf(path);
  const bytes = answeredBytes(path);
  return sent >= bytes && received >= bytes;
}

/** Of the pings that were answered, the least that a tunnel counts of them. Pure. */
export function answeredBytes({ pings }: PathFacts): number {
  return pings.reduce((sum, { received }) => sum + received, 0) * PING_BYTES;
}

/** Without headers: some data planes count those, and some do not. */
const PING_BYTES = 380;
