import { addressBytes, type Family, family } from "../net/address.ts";
import { networkAddress, type Prefix, prefixLength } from "../net/prefix.ts";
import { attribute, nest } from "../netlink/attributes.ts";
import { bigEndianU32, cString, u8, zeros } from "../netlink/bytes.ts";
import { af } from "../netlink/family.ts";
import type { Match, Rule, TableKey } from "./table.ts";

/** The rule as the kernel's expressions, which are carried out in order until one does not match. Pure. */
export function ruleExpressions(table: TableKey["family"], rule: Rule): Uint8Array[] {
  const conditions = rule.matches.flatMap((match) => matchExpressions(table, match));
  return rule.action === "drop"
    ? [...conditions, expression("counter"), verdict(NF_DROP)]
    : [...conditions, expression("masq")];
}

/** Whether no packet can match: a prefix of length 0 holds every address. Pure. */
export function matchesNothing(rule: Rule): boolean {
  return rule.matches.some((match) => "notIn" in match && match.notIn.some((prefix) => prefixLength(prefix) === 0));
}

function matchExpressions(table: TableKey["family"], match: Match): Uint8Array[] {
  if ("device" in match) {
    return [
      meta(match.device === "iifname" ? META_IIFNAME : META_OIFNAME),
      compare(NOT_EQUAL, deviceName(match.isNot)),
    ];
  }
  if ("udpPort" in match) {
    const port = bigEndianU32(match.udpPort).subarray(2);
    return [meta(META_L4PROTO), compare(EQUAL, u8(IPPROTO_UDP)), load(TRANSPORT_HEADER, 2, 2), compare(EQUAL, port)];
  }
  if ("in" in match) {
    const version = family(match.in);
    // An inet table sees both families: the address is where it is looked for only in one of them.
    const dependency = table === "inet" ? [meta(META_NFPROTO), compare(EQUAL, u8(af(version)))] : [];
    return [...dependency, ...addressExpressions(match.address, match.in, EQUAL)];
  }
  return match.notIn.flatMap((prefix) => addressExpressions(match.address, prefix, NOT_EQUAL));
}

/** A name with a star at its end is compared up to there; any other with its final zero and padding. */
function deviceName(name: string): Uint8Array {
  if (name.endsWith("*")) return cString(name).subarray(0, name.length - 1);
  const padded = zeros(IFNAMSIZ);
  padded.set(cString(name));
  return padded;
}

/** As nft(8) makes them, so that it shows them as prefixes: whole bytes alone, or the whole address through a mask. */
function addressExpressions(field: "saddr" | "daddr", prefix: Prefix, operation: number): Uint8Array[] {
  const length = prefixLength(prefix);
  if (length === 0) return [];
  const network = addressBytes(networkAddress(prefix));
  const bytes = length % 8 === 0 ? length / 8 : network.length;
  const address = load(NETWORK_HEADER, OFFSETS[field][family(prefix)], bytes);
  const mask = length % 8 === 0 ? [] : [masked(netmask(length, bytes))];
  return [address, ...mask, compare(operation, network.subarray(0, bytes))];
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

function netmask(length: number, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, index) => 0xff00 >> Math.min(8, Math.max(0, length - 8 * index)));
}

function masked(mask: Uint8Array): Uint8Array {
  return expression(
    "bitwise",
    attribute(BITWISE_SREG, REGISTER),
    attribute(BITWISE_DREG, REGISTER),
    attribute(BITWISE_LEN, bigEndianU32(mask.length)),
    nest(BITWISE_MASK, attribute(DATA_VALUE, mask)),
    nest(BITWISE_XOR, attribute(DATA_VALUE, zeros(mask.length))),
  );
}

function meta(key: number): Uint8Array {
  return expression("meta", attribute(META_DREG, REGISTER), attribute(META_KEY, bigEndianU32(key)));
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

/** linux/netfilter/nf_tables.h */
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
const META_IIFNAME = 6;
const META_OIFNAME = 7;
const META_NFPROTO = 15;
const META_L4PROTO = 16;
const IPPROTO_UDP = 17;
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
const IMMEDIATE_DREG = 1;
const IMMEDIATE_DATA = 2;
const NF_DROP = 0;
const IFNAMSIZ = 16;
/** Of the addresses in the IPv4 (RFC 791) and IPv6 (RFC 8200) header. */
const OFFSETS: Record<"saddr" | "daddr", Record<Family, number>> = { saddr: { 4: 12, 6: 8 }, daddr: { 4: 16, 6: 24 } };
