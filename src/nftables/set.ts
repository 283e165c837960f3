import { addressBytes, type Family } from "../net/address.ts";
import { networkAddress, type Prefix, prefixLength } from "../net/prefix.ts";
import { attribute, nest, nested, parseAttributes } from "../netlink/attributes.ts";
import { bigEndianU32, concat, cString, readBigEndianU32, u8, u32, zeros } from "../netlink/bytes.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../netlink/message.ts";
import type { Change } from "../netlink/netlink.ts";
import * as nf from "./protocol.ts";
import type { PrefixSet, Table } from "./table.ts";

/** An interval as the kernel keeps it: its first address, and the first one behind it. In network byte order. */
export interface Interval {
  readonly first: Uint8Array;
  /** Absent when the interval reaches to the last address of all. */
  readonly behind?: Uint8Array;
}

/** Makes a set and fills it. Pure. @param id Another one for each set of a transaction. */
export function newSet(table: Table, set: PrefixSet, id: number): Change[] {
  const declaration = nf.change(
    nf.NEWSET,
    NLM_F_CREATE | NLM_F_EXCL,
    table,
    attribute(SET_TABLE, cString(table.name)),
    attribute(SET_NAME, cString(set.name)),
    attribute(SET_FLAGS, bigEndianU32(SET_INTERVAL)),
    attribute(SET_KEY_TYPE, bigEndianU32(KEY_TYPES[set.family])),
    attribute(SET_KEY_LEN, bigEndianU32(KEY_LENGTHS[set.family])),
    attribute(SET_ID, bigEndianU32(id)),
    attribute(SET_USERDATA, KEY_IS_BIG_ENDIAN),
  );
  return [declaration, ...chunks(set.prefixes).map((prefixes) => newElements(table, set, prefixes))];
}

/** The addresses of the prefix. Pure. */
export function intervalOf(prefix: Prefix): Interval {
  const first = addressBytes(networkAddress(prefix));
  const behind = first.slice();
  const length = prefixLength(prefix);
  let carry = length % 8 === 0 ? 1 : 1 << (8 - (length % 8));
  for (let index = Math.ceil(length / 8) - 1; index >= 0; index -= 1) {
    const sum = (behind[index] ?? 0) + carry;
    behind[index] = sum & 0xff;
    if (sum < 0x100) return { first, behind };
    carry = 1;
  }
  return { first };
}

/** The elements of a prefix by name: an address in hexadecimal digits, and whether an interval has ended there. Pure. */
export function elementNames(prefix: Prefix): string[] {
  const { first, behind } = intervalOf(prefix);
  return behind === undefined ? [nameOf(first, false)] : [nameOf(first, false), nameOf(behind, true)];
}

/** The name of an element as the kernel gives it. Pure. @throws RangeError for one that is broken. */
export function elementName(element: Uint8Array): string {
  const attributes = parseAttributes(element);
  const key = nested(attributes, nf.SET_ELEM_KEY).get(nf.DATA_VALUE) ?? zeros(0);
  const flags = attributes.get(nf.SET_ELEM_FLAGS);
  const isEnd = flags !== undefined && (readBigEndianU32(flags, 0) & nf.SET_ELEM_INTERVAL_END) !== 0;
  return nameOf(key, isEnd);
}

function nameOf(key: Uint8Array, isEnd: boolean): string {
  return `${Buffer.from(key).toString("hex")}${isEnd ? " end" : ""}`;
}

function newElements(table: Table, set: PrefixSet, prefixes: readonly Prefix[]): Change {
  return nf.change(
    nf.NEWSETELEM,
    NLM_F_CREATE,
    table,
    attribute(nf.SET_ELEM_LIST_TABLE, cString(table.name)),
    attribute(nf.SET_ELEM_LIST_SET, cString(set.name)),
    nest(nf.SET_ELEM_LIST_ELEMENTS, encodedElements(set.family, prefixes)),
  );
}

/** Into one buffer, as there may be thousands: put together of attributes they would take ten times as long. */
function encodedElements(family: Family, prefixes: readonly Prefix[]): Uint8Array {
  const length = KEY_LENGTHS[family];
  const key = nest(nf.SET_ELEM_KEY, attribute(nf.DATA_VALUE, new Uint8Array(length)));
  const start = nest(nf.LIST_ELEM, key);
  const end = nest(nf.LIST_ELEM, attribute(nf.SET_ELEM_FLAGS, bigEndianU32(nf.SET_ELEM_INTERVAL_END)), key);
  const last = nest(nf.LIST_ELEM, attribute(SET_ELEM_USERDATA, INTERVAL_IS_OPEN), key);
  const bytes = new Uint8Array(prefixes.length * (start.length + end.length));
  let offset = 0;
  const append = (element: Uint8Array, address: Uint8Array) => {
    bytes.set(element, offset);
    offset += element.length;
    bytes.set(address, offset - length); // the address is what each of them ends with
  };
  for (const prefix of prefixes) {
    const { first, behind } = intervalOf(prefix);
    append(behind === undefined ? last : start, first);
    if (behind !== undefined) append(end, behind);
  }
  return bytes.subarray(0, offset);
}

/** An attribute has at most 64 KiB, and a prefix of IPv6 takes 64 bytes. */
function chunks(prefixes: readonly Prefix[]): Prefix[][] {
  const count = Math.ceil(prefixes.length / CHUNK);
  return Array.from({ length: count }, (_, index) => prefixes.slice(index * CHUNK, (index + 1) * CHUNK));
}

const CHUNK = 1000;
const SET_TABLE = 1;
const SET_NAME = 2;
const SET_FLAGS = 3;
const SET_KEY_TYPE = 4;
const SET_KEY_LEN = 5;
const SET_ID = 10;
const SET_USERDATA = 13;
const SET_INTERVAL = 4;
const SET_ELEM_USERDATA = 6;
const KEY_LENGTHS = { 4: 4, 6: 16 } as const;
/** The numbers of nft(8)'s types ipv4_addr and ipv6_addr. */
const KEY_TYPES = { 4: 7, 6: 8 } as const;
/** Told as nft(8) tells it to itself (libnftnl/udata.h: type, length, value). 1.0.6 shows sets rightly without, too. */
const KEY_IS_BIG_ENDIAN = concat(u8(0), u8(4), u32(2));
const INTERVAL_IS_OPEN = concat(u8(1), u8(4), u32(1));
