import { addressBytes, type Family, family } from "../net/address.ts";
import { networkAddress, type Prefix, prefixLength } from "../net/prefix.ts";
import { bigEndianU32, cString, u8, zeros } from "../netlink/bytes.ts";
import { af } from "../netlink/family.ts";
import * as nft from "./expressions.ts";
import type { Match, Rule, Table } from "./table.ts";

/** What of a table its rules refer to. */
export type RuleScope = Pick<Table, "family" | "sets">;

/**
 * The rule as the kernel's expressions, which are carried out in order until one does not match. Pure.
 * @throws TypeError for a set that the table does not have, for addresses of two families, and for "keepSource" of none.
 */
export function ruleExpressions(table: RuleScope, rule: Rule): Uint8Array[] {
  const families = new Set([...OF_TABLE[table.family], ...rule.matches.flatMap((match) => matchFamily(table, match))]);
  if (families.size > 1) throw new TypeError("a rule is of one family: no packet has two");
  const [version] = families;
  return [...matchesExpressions(table, rule.matches), ...actionExpressions(rule.action, version)];
}

/** The matches alone: how a rule begins that speaks of the same packets. Pure. @throws TypeError as ruleExpressions. */
export function matchesExpressions(table: RuleScope, matches: readonly Match[]): Uint8Array[] {
  // An inet table sees both families: an address is where it is looked for only in one of them.
  let known = table.family !== "inet";
  return matches.flatMap((match) => {
    const [version] = matchFamily(table, match);
    if (version === undefined || known) return matchExpressions(table, match);
    known = true;
    return [nft.meta("nfproto"), nft.equal(u8(af(version))), ...matchExpressions(table, match)];
  });
}

/** Whether no packet can match: a prefix of length 0 holds every address. Pure. */
export function matchesNothing(rule: Rule): boolean {
  return rule.matches.some((match) => "notIn" in match && match.notIn.some((prefix) => prefixLength(prefix) === 0));
}

/** The family of the packets that a match speaks of; none where it is either, or said by the match before. */
function matchFamily(table: RuleScope, match: Match): Family[] {
  if ("in" in match) return [family(match.in)];
  return "inSet" in match ? [setFamily(table, match.inSet)] : [];
}

function setFamily(table: RuleScope, name: string): Family {
  const set = table.sets?.find((candidate) => candidate.name === name);
  if (set === undefined) throw new TypeError(`the table has no set ${name}`);
  return set.family;
}

function matchExpressions(table: RuleScope, match: Match): Uint8Array[] {
  if ("device" in match) {
    const compare = "is" in match ? nft.equal : nft.notEqual;
    return [nft.meta(match.device), compare(deviceName("is" in match ? match.is : match.isNot))];
  }
  if ("plain" in match) return [match.plain === "in" ? nft.meta("secpath") : nft.transformed(), nft.equal(u8(0))];
  if ("udpPort" in match) {
    const port = bigEndianU32(match.udpPort).subarray(2);
    return [nft.meta("l4proto"), nft.equal(u8(IPPROTO_UDP)), nft.loadTransport(2, 2), nft.equal(port)];
  }
  if ("in" in match) return addressExpressions(match.address, match.in, nft.equal);
  if ("inSet" in match) return [loadAddress(match.address, setFamily(table, match.inSet)), nft.lookup(match.inSet)];
  return match.notIn.flatMap((prefix) => addressExpressions(match.address, prefix, nft.notEqual));
}

function actionExpressions(action: Rule["action"], version: Family | undefined): Uint8Array[] {
  switch (action) {
    case "accept":
      return [nft.accept()];
    case "drop":
      return [nft.counter(), nft.drop()];
    case "masquerade":
      return [nft.masquerade()];
    case "keepSource":
      if (version === undefined) throw new TypeError("keepSource in an inet table wants a match that tells the family");
      return [loadAddress("saddr", version), nft.sourceTranslation(af(version))];
  }
}

/** A name with a star at its end is compared up to there; any other with its final zero and padding. */
function deviceName(name: string): Uint8Array {
  if (name.endsWith("*")) return cString(name).subarray(0, name.length - 1);
  const padded = zeros(IFNAMSIZ);
  padded.set(cString(name));
  return padded;
}

/** As nft(8) makes them, so that it shows them as prefixes: whole bytes alone, or the whole address through a mask. */
function addressExpressions(
  field: "saddr" | "daddr",
  prefix: Prefix,
  compare: (value: Uint8Array) => Uint8Array,
): Uint8Array[] {
  const length = prefixLength(prefix);
  if (length === 0) return [];
  const network = addressBytes(networkAddress(prefix));
  const bytes = length % 8 === 0 ? length / 8 : network.length;
  const address = nft.loadNetwork(OFFSETS[field][family(prefix)], bytes);
  const mask = length % 8 === 0 ? [] : [nft.masked(netmask(length, bytes))];
  return [address, ...mask, compare(network.subarray(0, bytes))];
}

function loadAddress(field: "saddr" | "daddr", version: Family): Uint8Array {
  return nft.loadNetwork(OFFSETS[field][version], version === 4 ? 4 : 16);
}

function netmask(length: number, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, index) => 0xff00 >> Math.min(8, Math.max(0, length - 8 * index)));
}

const OF_TABLE: Record<Table["family"], readonly Family[]> = { inet: [], ip: [4], ip6: [6] };
const IPPROTO_UDP = 17;
const IFNAMSIZ = 16;
/** Of the addresses in the IPv4 (RFC 791) and IPv6 (RFC 8200) header. */
const OFFSETS: Record<"saddr" | "daddr", Record<Family, number>> = { saddr: { 4: 12, 6: 8 }, daddr: { 4: 16, 6: 24 } };
