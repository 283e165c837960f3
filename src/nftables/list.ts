import { align } from "../netlink/attributes.ts";
import { readU16 } from "../netlink/bytes.ts";
import { LIST_ELEM } from "./protocol.ts";

/** One attribute. */
export interface Entry {
  readonly type: number;
  /** Told by us; the kernel does not tell it of nf_tables' attributes. */
  readonly isNest: boolean;
  readonly payload: Uint8Array;
}

/**
 * Attributes in their order, also of the same type: `parseAttributes` keeps the last of these.
 * @throws RangeError when one claims more bytes than there are.
 */
export function entries(bytes: Uint8Array): Entry[] {
  const found: Entry[] = [];
  for (let offset = 0; offset + HEADER <= bytes.length; ) {
    const length = readU16(bytes, offset);
    const type = readU16(bytes, offset + 2);
    if (length < HEADER || offset + length > bytes.length) throw new RangeError(`attribute of ${length} bytes`);
    const payload = bytes.subarray(offset + HEADER, offset + length);
    found.push({ type: type & TYPE_MASK, isNest: (type & NESTED) !== 0, payload });
    offset += align(length);
  }
  return found;
}

/** The elements of an encoded list: expressions of a rule, or elements of a set. @throws RangeError as above. */
export function listOf(list: Uint8Array): Uint8Array[] {
  return entries(list).flatMap(({ type, payload }) => (type === LIST_ELEM ? [payload] : []));
}

/** Whether there is an attribute of that type, found without looking into any: for thousands of answers. */
export function hasAttribute(bytes: Uint8Array, type: number): boolean {
  for (let offset = 0; offset + HEADER <= bytes.length; offset += align(Math.max(HEADER, readU16(bytes, offset)))) {
    if ((readU16(bytes, offset + 2) & TYPE_MASK) === type) return true;
  }
  return false;
}

const HEADER = 4;
const NESTED = 0x8000;
const TYPE_MASK = 0x3fff;
