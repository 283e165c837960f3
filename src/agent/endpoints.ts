import { isAddress } from "../mesh/candidates.ts";
import type { Candidate } from "../mesh/mesh-plan.ts";
import type { Address } from "../net/address.ts";
import { type Endpoint, endpointText, sameEndpoint } from "../net/endpoint.ts";

/** What is kept of a peer between two choices. Times are in milliseconds, of any clock that does not jump. */
export interface EndpointMemory {
  /** Whether there is no tunnel, and candidates are tried. */
  readonly searching: boolean;
  /** What is tried; absent while there is a tunnel, or when no host name has an address. */
  readonly trying?: Endpoint;
  /** When that began. */
  readonly since: number;
  /** How often all have been tried in vain. */
  readonly rounds: number;
  /** Where the peer was when there was a tunnel: perhaps behind a NAT, and in nobody's record. */
  readonly good?: Endpoint;
}

/** What a choice depends on. */
export interface EndpointInput {
  /** In the order in which to try. */
  readonly candidates: readonly Candidate[];
  /** UDP port that goes with them. */
  readonly port: number;
  /** Addresses of host names, as far as they are known. */
  readonly resolved: ReadonlyMap<string, readonly Address[]>;
  /** Whether the tunnel carries anything; undefined when it is too early to tell. */
  readonly alive: boolean | undefined;
  /** As the device has it. */
  readonly current: Endpoint | undefined;
  readonly now: number;
}

/** What to do about a peer's endpoint. */
export interface EndpointChoice {
  /** Absent: nothing is known; what the device has stays. */
  readonly endpoint?: Endpoint;
  /** Host names to resolve, again if need be. */
  readonly names: readonly string[];
  /** When to ask again at the latest; absent: when something changes. */
  readonly askAt?: number;
  readonly memory: EndpointMemory;
}

/** Milliseconds that an endpoint gets: one handshake that is lost and one that is not (WireGuard: REKEY_TIMEOUT, 5 s). */
export const TRY = 6000;
/** The most, after all have been tried again and again. */
export const LONGEST_TRY = 60_000;

/**
 * Where to send what is for a peer. As long as the tunnel lives, that is where the device has it: a peer that roams says
 * itself where it is, and after a crash of the device that is the best that is known. When it is down, all candidates
 * are tried, from the preferred one on, and each round more patiently; last where the peer was before. Pure.
 */
export function chooseEndpoint(before: EndpointMemory | undefined, input: EndpointInput): EndpointChoice {
  const { alive, current, now } = input;
  if (alive === true) {
    const good = current ?? before?.good;
    const memory = { searching: false, since: now, rounds: 0, ...(good && { good }) };
    return { ...(good && { endpoint: good }), names: [], memory };
  }
  const searching = before?.searching === true ? before : undefined;
  // An agent that has just been started does not know yet what its device can do: it leaves it as it is.
  if (alive === undefined && searching === undefined && current !== undefined) {
    const memory = before ?? { searching: false, since: now, rounds: 0 };
    return { endpoint: current, names: [], askAt: now + TRY, memory };
  }
  if (searching !== undefined) {
    const { trying, since, rounds } = searching;
    const until = since + patience(rounds);
    if (now < until && isUsable(trying, input, before?.good))
      return { ...(trying && { endpoint: trying }), names: [], askAt: until, memory: searching };
  }
  return nextTry(searching, before?.good, optionsOf(input, before?.good), input);
}

function nextTry(
  searching: EndpointMemory | undefined,
  good: Endpoint | undefined,
  options: readonly Endpoint[],
  { candidates, now }: EndpointInput,
): EndpointChoice {
  const { trying: last, rounds: before = 0 } = searching ?? {};
  const at = last === undefined ? 0 : options.findIndex((option) => sameEndpoint(option, last)) + 1;
  const isRound = searching !== undefined && (options.length === 0 || at >= options.length);
  const rounds = before + (isRound ? 1 : 0);
  const trying = options[at] ?? options[0];
  return {
    ...(trying && { endpoint: trying }),
    // What a name stands for may have changed: that is asked with each new try.
    names: candidates.flatMap(({ host }) => (isAddress(host) ? [] : [host])),
    askAt: now + patience(rounds),
    memory: { searching: true, since: now, rounds, ...(trying && { trying }), ...(good && { good }) },
  };
}

function patience(rounds: number): number {
  return Math.min(TRY * 2 ** rounds, LONGEST_TRY);
}

function optionsOf({ candidates, port, resolved }: EndpointInput, good: Endpoint | undefined): Endpoint[] {
  const addresses = candidates.flatMap(({ host }) => (isAddress(host) ? [host] : (resolved.get(host) ?? [])));
  const all = [...addresses.map((address): Endpoint => ({ address, port })), ...(good === undefined ? [] : [good])];
  return [...new Map(all.map((endpoint) => [endpointText(endpoint), endpoint])).values()];
}

/** Whether it is still one of the options; or whether there are still none. */
function isUsable(trying: Endpoint | undefined, input: EndpointInput, good: Endpoint | undefined): boolean {
  const { candidates, port, resolved } = input;
  if (trying === undefined) return optionsOf(input, good).length === 0;
  const { address } = trying;
  const isKnown = candidates.some(({ host }) => host === address || resolved.get(host)?.includes(address));
  return (isKnown && trying.port === port) || (good !== undefined && sameEndpoint(good, trying));
}
