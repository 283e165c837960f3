import type { IkeSa } from "vici";
import { legalIdentity } from "../config/identity.ts";
import { type Address, parseAddress } from "../net/address.ts";
import { isInWaitingRoom } from "../net/waiting-room.ts";
import type { Book } from "./book.ts";

/** What a look at charon's SAs showed. */
export interface Observation {
  /** Whether the book is another one now. */
  readonly changed: boolean;
  /** Pods that wait for a virtual IP which another tunnel of the same identity has. */
  readonly contests: readonly Contest[];
  /** Pods with the identity of one that is online, that got addresses of their own. */
  readonly doubles: readonly { readonly holder: IkeSa; readonly other: IkeSa }[];
  /** Pods that wait for nobody any more: told to come again, they get their virtual IP. */
  readonly admitted: readonly IkeSa[];
  /** Tunnels that a pod left behind when it made its present one. */
  readonly stale: readonly IkeSa[];
  /** One line for each lease that ended. */
  readonly told: readonly string[];
}

/** Two tunnels that prove one identity. */
export interface Contest {
  /** The one with the virtual IP. */
  readonly holder: IkeSa;
  readonly waiting: readonly IkeSa[];
}

/** How long offline pods keep their addresses, and what time it is. */
export interface LeaseTerms {
  /** Milliseconds; 0: for ever. */
  readonly leaseTime: number;
  /** On the book's clock, and in milliseconds since 1970. */
  readonly now: number;
  readonly wallClock: number;
  /**
   * The configuration's identities, in lower case: they keep their addresses whatever happens, and there are no others.
   * Undefined where anybody may come.
   */
  readonly fixed: ReadonlySet<string> | undefined;
}

/**
 * Brings the book to what charon's SAs say, and finds out whom to send away.
 * @param goodbyes Identities that ended their tunnels themselves (DEL), in lower case: their addresses become free.
 */
export function observe(
  book: Book,
  sas: readonly IkeSa[],
  goodbyes: ReadonlySet<string>,
  terms: LeaseTerms,
): Observation {
  const told: string[] = [];
  const contests: Contest[] = [];
  const [admitted, stale]: [IkeSa[], IkeSa[]] = [[], []];
  const doubles: { holder: IkeSa; other: IkeSa }[] = [];
  let changed = false;
  const online = new Set<string>();
  for (const [key, group] of byIdentity(sas)) {
    if (terms.fixed?.has(key) === false) continue; // about to be sent away
    if (book.get(key) === undefined) changed = meet(book, group, told) || changed;
    const addresses = book.get(key)?.addresses ?? [];
    const holders = group.filter((sa) => virtualIPs(sa).every((address) => addresses.includes(address)));
    const waiting = group.filter((sa) => virtualIPs(sa).some(isInWaitingRoom));
    const [holder, ...left] = holders.toSorted((one, other) => other.uniqueid - one.uniqueid);
    if (holder === undefined) {
      admitted.push(...waiting);
      continue;
    }
    online.add(key);
    changed = book.setOnline(key, parseAddress(holder.remoteHost)) || changed;
    for (const sa of group) if (!holders.includes(sa) && !waiting.includes(sa)) doubles.push({ holder, other: sa });
    if (waiting.length > 0) contests.push({ holder, waiting });
    // While an IKE_SA is rekeyed there are two for a moment, of which one has the children.
    if (isWhole(holder)) stale.push(...left.filter(isWhole));
  }
  const ended = end(book, online, goodbyes, terms);
  return { changed: changed || ended.changed, contests, doubles, admitted, stale, told: [...told, ...ended.told] };
}

/** Of several at once the first that came gets the entry. @returns Whether there is one now. */
function meet(book: Book, group: readonly IkeSa[], told: string[]): boolean {
  for (const sa of group.toSorted((one, other) => one.uniqueid - other.uniqueid)) {
    const addresses = virtualIPs(sa);
    if (!addresses.every((address) => book.serves(address))) continue;
    for (const address of addresses) {
      // charon gives an address of somebody's who is offline only when there are no others.
      const owner = book.ownerOf(address);
      if (owner === undefined) continue;
      book.free(owner.identity);
      told.push(`${owner.identity} lost ${address} to ${sa.remoteId}: the pool was used up`);
    }
    book.learn(sa.remoteId, addresses);
    return true;
  }
  return false;
}

/** What becomes of those who are not online. */
function end(
  book: Book,
  online: ReadonlySet<string>,
  goodbyes: ReadonlySet<string>,
  { leaseTime, now, wallClock, fixed }: LeaseTerms,
): { changed: boolean; told: string[] } {
  const told: string[] = [];
  let changed = false;
  for (const { identity, addresses, offline } of book.entries()) {
    const key = identity.toLowerCase();
    if (online.has(key)) continue;
    const isOver = offline?.until !== undefined && offline.until <= now;
    const isFixed = fixed?.has(key) === true;
    if (!isFixed && (goodbyes.has(key) || isOver)) {
      book.free(identity);
      const why = isOver ? "was offline for too long" : "said goodbye";
      told.push(`free: ${addresses.join(" and ")}, as ${identity} ${why}`);
      changed = true;
      continue;
    }
    const until = leaseTime === 0 || isFixed ? {} : { until: now + leaseTime };
    changed = book.setOffline(identity, { since: wallClock, ...until }) || changed;
  }
  return { changed, told };
}

/** SAs with virtual IPs, by identity in lower case. An identity that could be a pattern has no lasting address. */
function byIdentity(sas: readonly IkeSa[]): Map<string, IkeSa[]> {
  const established = sas.filter(({ state }) => state === "ESTABLISHED" || state === "REKEYING");
  const legal = established.filter((sa) => sa.remoteVips.length > 0 && legalIdentity(sa.remoteId));
  return Map.groupBy(legal, ({ remoteId }) => remoteId.toLowerCase());
}

function isWhole({ state, childSas }: IkeSa): boolean {
  return state === "ESTABLISHED" && childSas.some((child) => child.state === "INSTALLED");
}

function virtualIPs({ remoteVips }: IkeSa): Address[] {
  return remoteVips.map(parseAddress).filter((address) => address !== undefined);
}
