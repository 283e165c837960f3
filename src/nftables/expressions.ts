import { attribute, nest } from "../netlink/attributes.ts";
import { bigEndianU32, cString, zeros } from "../netlink/bytes.ts";

// The kernel's expressions (linux/netfilter/nf_tables.h), as far as rules of ours have them. All of them use the same
// register: the next one reads what the one before has loaded.

/**
 * Loads the name of a device, the protocol of the network layer (NFPROTO_…), that of the transport layer, or whether
 * the packet came in by IPsec.
 */
export function meta(key: keyof typeof META_KEYS): Uint8Array {
  return expression("meta", attribute(META_DREG, REGISTER), attribute(META_KEY, bigEndianU32(META_KEYS[key])));
}

/** Loads whether the packet's route leads through IPsec (Linux 5.0). */
export function transformed(): Uint8Array {
  return expression("rt", attribute(RT_DREG, REGISTER), attribute(RT_KEY, bigEndianU32(RT_XFRM)));
}

/** Loads bytes of the IP header. */
export function loadNetwork(offset: number, length: number): Uint8Array {
  return load(NETWORK_HEADER, offset, length);
}

/** Loads bytes of the TCP or UDP header. */
export function loadTransport(offset: number, length: number): Uint8Array {
  return load(TRANSPORT_HEADER, offset, length);
}

/** Keeps of what was loaded the bits of the mask. */
export function masked(mask: Uint8Array): Uint8Array {
  return expression(
    "bitwise",
    attribute(BITWISE_SREG, REGISTER),
    attribute(BITWISE_DREG, REGISTER),
    attribute(BITWISE_LEN, bigEndianU32(mask.length)),
    nest(BITWISE_MASK, attribute(DATA_VALUE, mask)),
    nest(BITWISE_XOR, attribute(DATA_VALUE, zeros(mask.length))),
  );
}

/** Goes on only if what was loaded is this. */
export function equal(value: Uint8Array): Uint8Array {
  return compare(EQUAL, value);
}

/** Goes on only if what was loaded is something else. */
export function notEqual(value: Uint8Array): Uint8Array {
  return compare(NOT_EQUAL, value);
}

/** Goes on only if what was loaded is in the set. By name: the kernel finds one of the same transaction too. */
export function lookup(set: string): Uint8Array {
  return expression("lookup", attribute(LOOKUP_SET, cString(set)), attribute(LOOKUP_SREG, REGISTER));
}

/** Counts packets and bytes. */
export function counter(): Uint8Array {
  return expression("counter");
}

export function masquerade(): Uint8Array {
  return expression("masq");
}

/** Gives the connection the source address that was loaded. @param family AF_INET or AF_INET6. */
export function sourceTranslation(family: number): Uint8Array {
  return expression(
    "nat",
    attribute(NAT_TYPE, bigEndianU32(NAT_SNAT)),
    attribute(NAT_FAMILY, bigEndianU32(family)),
    attribute(NAT_REG_ADDR_MIN, REGISTER),
  );
}

export function accept(): Uint8Array {
  return verdict(NF_ACCEPT);
}

export function drop(): Uint8Array {
  return verdict(NF_DROP);
}

function load(base: number, offset: number, length: number): Uint8Array {
  return expression(
    "payload",
    attribute(PAYLOAD_DREG, REGISTER),
    attribute(PAYLOAD_BASE, bigEndianU32(base)),
    attribute(PAYLOAD_OFFSET, bigEndianU32(offset)),
    attribute(PAYLOAD_LEN, bigEndianU32(length)),
  );
}

function compare(operation: number, value: Uint8Array): Uint8Array {
  return expression(
    "cmp",
    attribute(CMP_SREG, REGISTER),
    attribute(CMP_OP, bigEndianU32(operation)),
    nest(CMP_DATA, attribute(DATA_VALUE, value)),
  );
}

function verdict(code: number): Uint8Array {
  return expression(
    "immediate",
    attribute(IMMEDIATE_DREG, bigEndianU32(REGISTER_VERDICT)),
    nest(IMMEDIATE_DATA, nest(DATA_VERDICT, attribute(VERDICT_CODE, bigEndianU32(code)))),
  );
}

function expression(name: string, ...data: readonly Uint8Array[]): Uint8Array {
  return nest(LIST_ELEM, attribute(EXPR_NAME, cString(name)), nest(EXPR_DATA, ...data));
}

const LIST_ELEM = 1;
const EXPR_NAME = 1;
const EXPR_DATA = 2;
const DATA_VALUE = 1;
const DATA_VERDICT = 2;
const VERDICT_CODE = 1;
const REGISTER_VERDICT = 0;
/** The first of 16 bytes. */
const REGISTER = bigEndianU32(1);
const META_DREG = 1;
const META_KEY = 2;
const META_KEYS = { iifname: 6, oifname: 7, nfproto: 15, l4proto: 16, secpath: 25 } as const;
const RT_DREG = 1;
const RT_KEY = 2;
const RT_XFRM = 4;
const CMP_SREG = 1;
const CMP_OP = 2;
const CMP_DATA = 3;
const EQUAL = 0;
const NOT_EQUAL = 1;
const PAYLOAD_DREG = 1;
const PAYLOAD_BASE = 2;
const PAYLOAD_OFFSET = 3;
const PAYLOAD_LEN = 4;
const NETWORK_HEADER = 1;
const TRANSPORT_HEADER = 2;
const BITWISE_SREG = 1;
const BITWISE_DREG = 2;
const BITWISE_LEN = 3;
const BITWISE_MASK = 4;
const BITWISE_XOR = 5;
const LOOKUP_SET = 1;
const LOOKUP_SREG = 2;
const NAT_TYPE = 1;
const NAT_FAMILY = 2;
const NAT_REG_ADDR_MIN = 3;
const NAT_SNAT = 0;
const IMMEDIATE_DREG = 1;
const IMMEDIATE_DATA = 2;
/** linux/netfilter.h */
const NF_DROP = 0;
const NF_ACCEPT = 1;
