import { type Address, family } from "../net/address.ts";
import { contains, lastUsable, networkAddress, type Prefix, prefixLength, prefixOf } from "../net/prefix.ts";
import { lastAddress, nth, size } from "../net/range.ts";

/** A virtual subnet as the hub serves it. */
export interface HubSubnet {
  readonly subnet: Prefix;
  /**
   * The hub's own address in it: the last usable one. kernel-libipsec up to 5.9.11 refuses connections without, and
   * it is the source of what the hub tells pods (ICMP).
   */
  readonly own: Address;
  /** What pods get their virtual IPs from; never the hub's own, the network or the broadcast address. */
  readonly pool: HubPool;
}

/** First and last address, both included. */
export interface HubPool {
  readonly first: Address;
  readonly last: Address;
}

/** Bits of the largest IPv6 pool: 65,536 addresses. charon (5.9.8) reckons with the last 32 bits alone. */
export const IPV6_POOL = 112;

/**
 * The pool of a virtual subnet: all of it (in IPv6 its first /112), or all of `part`, without the addresses that no pod
 * may have. Undefined when nothing is left.
 * @param part A prefix inside of `subnet`.
 */
export function hubSubnet(subnet: Prefix, part?: Prefix): HubSubnet | undefined {
  const prefix = part ?? wholeOf(subnet);
  const own = lastUsable(subnet);
  const first = networkAddress(prefix) === networkAddress(subnet) ? 1n : 0n;
  const last = size(prefix) - 1n - reservedAtEnd(subnet, own, prefix);
  if (last < first) return undefined;
  return { subnet, own, pool: { first: nth(prefix, first), last: nth(prefix, last) } };
}

/** How many of the last addresses of `prefix` no pod may have: the hub's own and, in IPv4, the broadcast address. */
function reservedAtEnd(subnet: Prefix, own: Address, prefix: Prefix): bigint {
  if (lastAddress(prefix) === lastAddress(subnet)) return family(subnet) === 4 ? 2n : 1n;
  return contains(prefix, own) ? 1n : 0n; // it is the hub's address alone
}

function wholeOf(subnet: Prefix): Prefix {
  if (family(subnet) === 4 || prefixLength(subnet) >= IPV6_POOL) return subnet;
  return prefixOf(networkAddress(subnet), IPV6_POOL);
}
