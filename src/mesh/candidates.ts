import { type Address, type Family, family } from "../net/address.ts";
import type { NodeRecord } from "../registry/node-record.ts";
import type { Candidate } from "./mesh-plan.ts";
import { sameSite } from "./sites.ts";

/** How sure it is that a node is reached by what it tells of itself; the greater the surer. */
export const Reach = {
  /** There is nothing to try. */
  none: 0,
  /** Only private addresses of another site: they serve where the sites are routed to each other, and not through a NAT. */
  doubtful: 1,
  /** A private address of the own site, or a public one. */
  sure: 2,
} as const;
export type Reach = (typeof Reach)[keyof typeof Reach];

/**
 * Where `from` may reach `to`, in the order in which to try: within a site private addresses first, between sites public
 * ones; of each kind in the order of `to`'s record. Only of families that `from` has an address of (of all, when it knows
 * none of itself); host names always. Never an address that `from` has itself: two sites may number their networks
 * alike, and what is at that address of another site is then `from`. Pure.
 */
export function candidatesTo(to: NodeRecord, from: NodeRecord): Candidate[] {
  const privates = to.underlay.private.map((host): Candidate => ({ host, scope: "private" }));
  const publics = to.underlay.public.map((host): Candidate => ({ host, scope: "public" }));
  const all = sameSite(from, to) ? [...privates, ...publics] : [...publics, ...privates];
  const families = familiesOf(from);
  const own = new Set<string>(from.underlay.private);
  const seen = new Set<string>();
  return all.filter(({ host }) => {
    if (seen.has(host) || own.has(host)) return false;
    seen.add(host);
    return !isAddress(host) || families.has(family(host));
  });
}

/** How surely these lead to `to`. Pure. @param candidates As {@link candidatesTo} has them. */
export function reachBy(candidates: readonly Candidate[], to: NodeRecord, from: NodeRecord): Reach {
  if (candidates.length === 0) return Reach.none;
  return sameSite(from, to) || candidates.some(({ scope }) => scope === "public") ? Reach.sure : Reach.doubtful;
}

const ALL_FAMILIES: ReadonlySet<Family> = new Set([4, 6]);

function familiesOf({ underlay }: NodeRecord): ReadonlySet<Family> {
  const addresses = [...underlay.private, ...underlay.public.filter(isAddress)];
  return addresses.length === 0 ? ALL_FAMILIES : new Set(addresses.map(family));
}

/** Whether a host of a record is an address. Those are canonical already, and no host name has a colon or digits alone (RFC 1123, 2.1). */
export function isAddress(host: Address | string): host is Address {
  return host.includes(":") || /^[\d.]+$/.test(host);
}
