import { type Address, type Family, family } from "./address.ts";
import { contains, type Prefix, parsePrefix } from "./prefix.ts";

/**
 * Where a hub puts a pod that proves an identity whose tunnel of before may still live: it gets one of these addresses
 * instead of its virtual IP until that is decided, seconds later. Not a refusal, after which strongSwan (5.9.8) asks
 * no second time. No virtual subnet can have them: 240.0.0.0/4 is reserved (RFC 1112), 100::/64 discarded (RFC 6666).
 */
export function waitingRoom(version: Family): Prefix {
  const text = version === 4 ? "240.0.0.0/24" : "100::/112";
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new TypeError(text);
  return prefix;
}

/** Whether a hub gave this address to a pod that has to wait for its own. Pure. */
export function isInWaitingRoom(address: Address): boolean {
  return contains(waitingRoom(family(address)), address);
}
