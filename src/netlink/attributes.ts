import { concat, readU8, readU16, readU32, u16, zeros } from "./bytes.ts";

/** Attributes of one message or nest by type. Of a type that comes twice the last counts, as in the kernel's nla_parse. */
export type Attributes = ReadonlyMap<number, Uint8Array>;

/** One attribute, padded to 4 bytes (struct nlattr, linux/netlink.h). @throws RangeError when longer than its 16-bit length. */
export function attribute(type: number, payload: Uint8Array): Uint8Array {
  const length = HEADER + payload.length;
  if (length > 0xffff) throw new RangeError(`attribute ${type} has ${payload.length} bytes: too long`);
  const bytes = zeros(align(length)); // not by concat: 1,000 WireGuard peers are some 14,000 attributes
  bytes.set(u16(length));
  bytes.set(u16(type), 2);
  bytes.set(payload, HEADER);
  return bytes;
}

/** An attribute that is there only when `payload` is: keeps optional fields on one line. */
export function optional<T>(type: number, value: T | undefined, encode: (value: T) => Uint8Array): Uint8Array {
  return value === undefined ? zeros(0) : attribute(type, encode(value));
}

/** Attributes inside an attribute, with NLA_F_NESTED set (required where the kernel parses strictly, ignored elsewhere). */
export function nest(type: number, ...attributes: readonly Uint8Array[]): Uint8Array {
  return attribute(type | NESTED, concat(...attributes));
}

/** @throws RangeError when an attribute claims more bytes than there are. */
export function parseAttributes(bytes: Uint8Array): Attributes {
  return new Map(entries(bytes));
}

/** The payloads of a list, whose types say nothing: many kernel interfaces number no element. @throws RangeError as above. */
export function parseList(bytes: Uint8Array): Uint8Array[] {
  return entries(bytes).map(([, payload]) => payload);
}

function entries(bytes: Uint8Array): [type: number, payload: Uint8Array][] {
  const found: [number, Uint8Array][] = [];
  for (let offset = 0; offset + HEADER <= bytes.length; ) {
    const length = readU16(bytes, offset);
    if (length < HEADER || offset + length > bytes.length) {
      throw new RangeError(`netlink attribute of ${length} bytes where ${bytes.length - offset} are left`);
    }
    found.push([readU16(bytes, offset + 2) & TYPE_MASK, bytes.subarray(offset + HEADER, offset + length)]);
    offset += align(length);
  }
  return found;
}

/** The attributes nested in `type`; none when it is absent. */
export function nested(attributes: Attributes, type: number): Attributes {
  return parseAttributes(attributes.get(type) ?? zeros(0));
}

export function u8Of(attributes: Attributes, type: number): number | undefined {
  const payload = attributes.get(type);
  return payload && readU8(payload, 0);
}

export function u32Of(attributes: Attributes, type: number): number | undefined {
  const payload = attributes.get(type);
  return payload && readU32(payload, 0);
}

/** Bytes up to the next boundary of 4 (NLA_ALIGNTO and NLMSG_ALIGNTO). */
export function align(length: number): number {
  return (length + 3) & ~3;
}

const HEADER = 4;
const NESTED = 0x8000;
/** Without NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
const TYPE_MASK = 0x3fff;
