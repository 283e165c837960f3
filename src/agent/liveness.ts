import type { TunnelState } from "./driver.ts";
import type { Health } from "./probe/health.ts";

/** What a peer's tunnel has shown up to now. */
export interface Evidence {
  /** When the peer's probes were last all right, in milliseconds since 1970; absent while they are. */
  readonly silentSince?: number;
  /** Bytes that had been received when the silence was first looked at. */
  readonly receivedBytes?: number;
  /** When something came that was no answer: the peer's node lives, though its agent does not. */
  readonly heardAt?: number;
}

/** How a peer is, and whether its tunnel carries anything. */
export interface Verdict {
  readonly state: Health;
  /** Undefined: too early to tell. */
  readonly alive: boolean | undefined;
  /** Why it is not just up or down, in words. */
  readonly reason?: string;
}

/** One look at a peer. */
export interface Look {
  /** By its probes; "unknown" as well for a peer that cannot be probed. */
  readonly health: Health;
  /** Whether it has an address that is probed. */
  readonly probed: boolean;
  /** An answer is late. */
  readonly doubtful: boolean;
  /** Its own probes come here. */
  readonly heard: boolean;
  /** As its driver has it now; undefined when there is none. */
  readonly tunnel: TunnelState | undefined;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** WireGuard's REJECT_AFTER_TIME, in milliseconds: no session is older. IPsec rekeys later, but tells when an SA is gone. */
const SESSION = 180_000;

/** Milliseconds: WireGuard's KEEPALIVE_TIMEOUT, after which a peer that hears us says so, and some to spare. */
const HEARD = 15_000;

/**
 * What follows from another look. An agent that is stopped or started anew answers no probe, and its tunnels go on: its
 * kernel refuses our probes, and what it says comes through the tunnel, or WireGuard itself says that it has heard us.
 * Nothing of such a tunnel may be touched. So what has been received since the answers stopped decides. Pure.
 */
export function judged(before: Evidence, look: Look): readonly [Verdict, Evidence] {
  const { health, probed, doubtful, heard, tunnel, now } = look;
  if (health === "unknown" && !(probed && doubtful)) return [unprobed(look), {}];
  if (health !== "down" && !doubtful) return [{ state: health, alive: true }, {}];
  const evidence = withLook(before, tunnel, now);
  if (health !== "down") return [{ state: health, alive: health === "unknown" ? undefined : true }, evidence];
  if (heard) return [{ state: "down", alive: false, reason: "it is heard, but does not hear this node" }, evidence];
  if (evidence.heardAt !== undefined && now - evidence.heardAt <= HEARD) {
    return [{ state: "degraded", alive: true, reason: "its node is there, but its agent does not answer" }, evidence];
  }
  return [{ state: "down", alive: false }, evidence];
}

function withLook(before: Evidence, tunnel: TunnelState | undefined, now: number): Evidence {
  const silentSince = before.silentSince ?? now;
  if (tunnel === undefined) return { silentSince };
  const { receivedBytes } = tunnel;
  if (before.receivedBytes === undefined || receivedBytes < before.receivedBytes) {
    return { ...before, silentSince, receivedBytes };
  }
  const isHeard = receivedBytes > before.receivedBytes;
  return { ...before, silentSince, receivedBytes, ...(isHeard && { heardAt: now }) };
}

function unprobed({ probed, tunnel, now }: Look): Verdict {
  const { established } = tunnel ?? {};
  const isFresh = established !== undefined && Math.abs(now - established) <= SESSION;
  // Where no probe can go, the tunnel itself is all there is.
  if (!probed) return { state: isFresh ? "up" : "down", alive: isFresh };
  return { state: "unknown", alive: isFresh ? true : undefined };
}
