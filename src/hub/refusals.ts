/** A line of charon's log, as far as it matters here. */
export interface LogLine {
  readonly ikesaUniqueid?: number | undefined;
  readonly msg: string;
}

/** IKE_SAs whose peer is remembered: those that are being set up, and not more. */
const REMEMBERED = 1024;

/**
 * Finds out of charon's log who was refused and why: VICI has no event for that before strongSwan 6.0.3. The lines are
 * those of 5.9.8; who it is stands in earlier lines of the same IKE_SA.
 */
export class Refusals {
  readonly #peers = new Map<number, string>();

  /** What an operator should know, or undefined for a line that refuses nobody. */
  read({ ikesaUniqueid: id = 0, msg }: LogLine): string | undefined {
    const peer = peerIn(msg);
    if (peer !== undefined) this.#remember(id, peer);
    const why = REFUSALS.find(({ pattern }) => pattern.test(msg))?.why;
    if (why === undefined) return undefined;
    return `refused ${this.#peers.get(id) ?? "a peer"}: ${why} (${msg})`;
  }

  #remember(id: number, peer: string): void {
    this.#peers.delete(id);
    this.#peers.set(id, peer);
    const [oldest] = this.#peers.keys();
    if (this.#peers.size > REMEMBERED && oldest !== undefined) this.#peers.delete(oldest);
  }
}

function peerIn(msg: string): string | undefined {
  const initiating = /^(\S+) is initiating an IKE_SA$/.exec(msg);
  if (initiating !== null) return initiating[1];
  const looking = /^looking for peer configs matching .*\.\.\.(\S+?)\[(.*)\]$/.exec(msg);
  return looking === null ? undefined : `"${looking[2]}" at ${looking[1]}`;
}

const REFUSALS: readonly { readonly pattern: RegExp; readonly why: string }[] = [
  { pattern: /^tried \d+ shared keys? for .*, but MAC mismatched$/, why: "its PSK is another one" },
  { pattern: /^no shared key found for /, why: "there is no PSK for it here" },
  { pattern: /^no matching peer config found$/, why: "its identity, or the hub's that it asks for, is not configured" },
  { pattern: /^no IKE config found for /, why: "it came to an address that is not in listen" },
  { pattern: /^received proposals unacceptable$/, why: "none of its IKE proposals is in proposals" },
  { pattern: /^no acceptable proposal found$/, why: "none of its ESP proposals is in espProposals" },
  { pattern: /^traffic selectors .* unacceptable$/, why: "what it asks for is not in virtualSubnets" },
  { pattern: /^no virtual IP found, sending /, why: "the pool is used up" },
  { pattern: /peer too aggressive$/, why: "too many of its connections are half open" },
];
