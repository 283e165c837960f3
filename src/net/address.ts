/** A string that only one parser makes; `Name` keeps two such strings apart. */
export type Branded<Name extends string> = string & { readonly [brand]: Name };
declare const brand: unique symbol;

/**
 * IPv4 or IPv6 address in canonical form (RFC 5952: lower case, longest run of zeros as `::`; `::ffff:192.0.2.1` for
 * IPv4-mapped). Equal addresses are equal strings. Made only by {@link parseAddress} and {@link addressFromBytes}.
 */
export type Address = Branded<"Address">;

/** IP version. */
export type Family = 4 | 6;

/** The IP version of an address or a prefix. */
export function family(of: Branded<"Address"> | Branded<"Prefix">): Family {
  return of.includes(":") ? 6 : 4;
}

/**
 * The address in `text`, or undefined. Strict, unlike inet_aton and `node:net`: four decimal octets without leading
 * zeros (which some read as octal), or RFC 4291 section 2.2 text; no zone (`fe80::1%eth0`), no white space, no brackets.
 */
export function parseAddress(text: string): Address | undefined {
  const bytes = text.includes(":") ? ipv6Bytes(text) : ipv4Bytes(text);
  return bytes && addressFromBytes(bytes);
}

/** Network byte order: 4 bytes for IPv4, 16 for IPv6. A new array at each call. */
export function addressBytes(address: Address): Uint8Array<ArrayBuffer> {
  const bytes = family(address) === 4 ? ipv4Bytes(address) : ipv6Bytes(address);
  if (bytes === undefined) throw new TypeError(`"${address}" was not made by parseAddress`);
  return bytes;
}

/** The inverse of {@link addressBytes}. @throws RangeError unless given 4 or 16 bytes. */
export function addressFromBytes(bytes: Uint8Array): Address {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}` as Address;
  if (bytes.length === 16) return ipv6Text(bytes) as Address;
  throw new RangeError(`an address has 4 or 16 bytes, not ${bytes.length}`);
}

/** By hand, character by character: five times as fast as with `split` and a pattern, and a mesh has thousands. */
function ipv4Bytes(text: string): Uint8Array<ArrayBuffer> | undefined {
  const bytes = new Uint8Array(4);
  let [index, octet, digits] = [0, 0, 0];
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === DOT && digits > 0 && index < 3) {
      bytes[index] = octet;
      index += 1;
      [octet, digits] = [0, 0];
      continue;
    }
    const digit = code - ZERO;
    if (digit < 0 || digit > 9 || (digits > 0 && octet === 0)) return undefined;
    octet = octet * 10 + digit;
    digits += 1;
    if (octet > 255) return undefined;
  }
  if (index !== 3 || digits === 0) return undefined;
  bytes[3] = octet;
  return bytes;
}

const ZERO = 48;
const DOT = 46;

function ipv6Bytes(text: string): Uint8Array<ArrayBuffer> | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  // Only the very last group may be dotted decimal: "1.2.3.4::" is no address.
  const last = halves.length - 1;
  const [head, tail] = halves.map((half, index) => groupBytes(half, index === last));
  if (head === undefined) return undefined;
  if (halves.length === 1) return head.length === 16 ? Uint8Array.from(head) : undefined;
  // RFC 4291: "::" stands for one or more groups, hence at most 14 bytes beside it.
  if (tail === undefined || head.length + tail.length > 14) return undefined;
  const bytes = new Uint8Array(16);
  bytes.set(head, 0);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

const GROUP = /^[\da-f]{1,4}$/i;

function groupBytes(text: string, mayEndDotted: boolean): number[] | undefined {
  if (text === "") return [];
  const groups = text.split(":");
  const bytes: number[] = [];
  for (const [index, group] of groups.entries()) {
    if (GROUP.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
      continue;
    }
    const dotted = mayEndDotted && index === groups.length - 1 ? ipv4Bytes(group) : undefined;
    if (dotted === undefined) return undefined;
    bytes.push(...dotted);
  }
  return bytes;
}

/** RFC 5952 sections 4 and 5; inet_ntop and iproute2 print the same. */
function ipv6Text(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, index) => ((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0));
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${bytes.subarray(12).join(".")}`;
  }
  const { start, length } = longestZeros(groups);
  const hex = groups.map((group) => group.toString(16));
  if (length < 2) return hex.join(":"); // section 4.2.2: one group of zeros is not shortened
  return `${hex.slice(0, start).join(":")}::${hex.slice(start + length).join(":")}`;
}

function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let length = 0;
  for (const [index, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0;
    // Strictly longer: section 4.2.3 wants the first of two equal runs.
    if (length > best.length) best = { start: index - length + 1, length };
  }
  return best;
}
