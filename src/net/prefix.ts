import { type Address, addressBytes, addressFromBytes, type Branded, family, parseAddress } from "./address.ts";

/**
 * CIDR prefix in canonical form: address as in {@link Address} with host bits zero, and the length (`10.9.0.0/16`).
 * Equal prefixes are equal strings. Made only by {@link parsePrefix}, {@link prefixOf} and {@link hostPrefix}.
 */
export type Prefix = Branded<"Prefix">;

/** An address with the length of its on-link prefix, as in CNI's `ips[].address` (`10.1.2.3/16`). */
export interface InterfaceAddress {
  readonly address: Address;
  readonly prefixLength: number;
}

/**
 * `10.1.2.3/16` with its host bits, or undefined. The length is required, decimal, without leading zeros, and at most
 * 32 (IPv4) or 128 (IPv6); the address is as {@link parseAddress} wants it.
 */
export function interfaceAddress(text: string): InterfaceAddress | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const address = parseAddress(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (address === undefined || !LENGTH.test(length) || Number(length) > bits(address)) return undefined;
  return { address, prefixLength: Number(length) };
}

/** The prefix in `text`, or undefined; host bits are cleared (`10.9.1.1/16` is `10.9.0.0/16`). Strict as {@link interfaceAddress}. */
export function parsePrefix(text: string): Prefix | undefined {
  const parsed = interfaceAddress(text);
  return parsed && prefixOf(parsed.address, parsed.prefixLength);
}

/** The prefix of `length` bits that `address` is in. @throws RangeError for a length that the family does not have. */
export function prefixOf(address: Address, length: number): Prefix {
  if (!Number.isInteger(length) || length < 0 || length > bits(address)) {
    throw new RangeError(`an IPv${family(address)} prefix has 0 to ${bits(address)} bits, not ${length}`);
  }
  if (length === bits(address)) return hostPrefix(address);
  const bytes = addressBytes(address); // a new array
  for (let index = length >> 3; index < bytes.length; index += 1)
    bytes[index] = (bytes[index] ?? 0) & maskByte(length, index);
  return `${addressFromBytes(bytes)}/${length}` as Prefix;
}

/** The prefix that holds `address` alone: /32 or /128. */
export function hostPrefix(address: Address): Prefix {
  return `${address}/${bits(address)}` as Prefix;
}

/** In bits. */
export function prefixLength(prefix: Prefix): number {
  return Number(prefix.slice(prefix.indexOf("/") + 1));
}

/** The first address of the prefix: host bits zero. */
export function networkAddress(prefix: Prefix): Address {
  return prefix.slice(0, prefix.indexOf("/")) as Address;
}

/** The address after the network's own: of a prefix of four addresses or more the first that a host can have. */
export function firstHost(prefix: Prefix): Address {
  const bytes = addressBytes(networkAddress(prefix));
  const last = bytes.length - 1;
  bytes[last] = (bytes[last] ?? 0) | 1;
  return addressFromBytes(bytes);
}

/**
 * The last address that a host may have: for IPv4 the one below the broadcast address, save in a /31 (RFC 3021) and
 * /32, which have none; for IPv6 the very last.
 */
export function lastUsable(prefix: Prefix): Address {
  const length = prefixLength(prefix);
  const network = networkAddress(prefix);
  const bytes = addressBytes(network).map((byte, index) => byte | (~maskByte(length, index) & 0xff));
  const last = bytes.length - 1;
  // The broadcast address ends in a 1 bit (length <= 30): no borrow.
  if (family(prefix) === 4 && length <= 30) bytes[last] = (bytes[last] ?? 0) - 1;
  return addressFromBytes(bytes);
}

/** Whether every address of `inner` is in `outer`. False across families: `::/0` holds no IPv4. */
export function contains(outer: Prefix, inner: Address | Prefix): boolean {
  if (family(outer) !== family(inner)) return false;
  const network = isPrefix(inner) ? networkAddress(inner) : inner;
  const length = prefixLength(outer);
  if (isPrefix(inner) && prefixLength(inner) < length) return false;
  return prefixOf(network, length) === outer;
}

/** Whether the two have an address in common. Prefixes never overlap in part: one holds the other. */
export function overlaps(one: Prefix, other: Prefix): boolean {
  return contains(one, other) || contains(other, one);
}

const LENGTH = /^(?:0|[1-9]\d{0,2})$/;

function bits(address: Address): 32 | 128 {
  return family(address) === 4 ? 32 : 128;
}

function isPrefix(value: Address | Prefix): value is Prefix {
  return value.includes("/");
}

/** The `index`-th byte of the netmask of `length` bits. */
function maskByte(length: number, index: number): number {
  const ones = Math.min(8, Math.max(0, length - 8 * index));
  return (0xff00 >> ones) & 0xff;
}
