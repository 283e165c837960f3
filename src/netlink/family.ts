import { type Address, addressFromBytes, type Family, family } from "../net/address.ts";
import { type Prefix, prefixOf } from "../net/prefix.ts";

/** AF_INET or AF_INET6 (linux/socket.h) of an address or prefix. */
export function afOf(of: Address | Prefix): number {
  return af(family(of));
}

export function af(version: Family): number {
  return version === 4 ? 2 : 10;
}

/** The IP version behind AF_INET and AF_INET6; undefined for any other (MPLS, bridge, IPMR). */
export function versionOf(number: number): Family | undefined {
  if (number === 2) return 4;
  return number === 10 ? 6 : undefined;
}

/** `0.0.0.0/0` or `::/0`. */
export function anyPrefix(version: Family): Prefix {
  return prefixOf(addressFromBytes(new Uint8Array(version === 4 ? 4 : 16)), 0);
}

/** A prefix as messages carry it: address bytes, which may be left out for length 0, and the length from the header. */
export function prefixFrom(bytes: Uint8Array | undefined, length: number, version: Family): Prefix {
  return bytes === undefined ? anyPrefix(version) : prefixOf(addressFromBytes(bytes), length);
}
