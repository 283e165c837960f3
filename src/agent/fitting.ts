import { isPeerAddress } from "../config/wireguard-peer.ts";
import type { Address } from "../net/address.ts";
import { hostPrefix, type Prefix } from "../net/prefix.ts";
import { PrefixMap } from "../net/prefix-map.ts";
import { subtract } from "../net/subtract.ts";
import type { OnLink } from "../node/underlay.ts";

/** What is guarded, to be asked by address. Pure. */
export function guardOf(guarded: readonly Prefix[]): PrefixMap<true> {
  const map = new PrefixMap<true>();
  for (const prefix of guarded) map.set(prefix, true);
  return map;
}

/** Why no tunnel can end at an address: packets to it would go into the tunnel, or nowhere. Undefined when one can. Pure. */
export function endpointFault(name: string, address: Address, guard: PrefixMap<true>): string | undefined {
  const holder = guard.holder(hostPrefix(address));
  if (holder === undefined && isPeerAddress(address)) return undefined;
  const why = holder === undefined ? "to which nothing can be sent" : `which is in the mesh (${holder.prefix})`;
  return `the underlay address of ${name} is ${address}, ${why}; correct its record`;
}

/** What an operator is told of a prefix that would cut the node off its own network. Pure. */
export function heldText({ address, dev }: OnLink, prefix: Prefix, name: string): string {
  return `${prefix} of ${name} holds ${address} of this node's ${dev}; give ${name} other pod prefixes`;
}

/** What is guarded, without the networks of the node's own links. Pure. */
export function guardedWithout(guarded: readonly Prefix[], links: readonly OnLink[]): readonly Prefix[] {
  if (links.length === 0) return guarded;
  return subtract(
    guarded,
    links.map(({ prefix }) => prefix),
  );
}
