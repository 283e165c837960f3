import type { Family } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";

/** A condition on a packet: all of a rule's must hold. */
export type Match =
  /** The device is this one. A star at the end of the name stands for anything, here and below. */
  | { readonly device: "iifname" | "oifname"; readonly is: string }
  /** The device is another one than this. */
  | { readonly device: "iifname" | "oifname"; readonly isNot: string }
  /** The address is in the prefix. */
  | { readonly address: "saddr" | "daddr"; readonly in: Prefix }
  /** The address is in one of the prefixes of that set of the table. */
  | { readonly address: "saddr" | "daddr"; readonly inSet: string }
  /**
   * It was in no IPsec ("in": what came in as ESP and was decrypted does not match), or will be in none ("out": what the
   * routing has an XFRM policy for does not match; in chains behind routing only).
   */
  | { readonly plain: "in" | "out" }
  /** It is UDP to this port. */
  | { readonly udpPort: number }
  /** The address, of the family of the match before, is in none of the prefixes. */
  | { readonly address: "saddr" | "daddr"; readonly notIn: readonly Prefix[] };

/** What becomes of the packets that match; those that are dropped are counted. */
export interface Rule {
  readonly matches: readonly Match[];
  /**
   * "keepSource": `snat to ip saddr`. The first nat chain that translates a connection decides for all that come after
   * it, and to accept is no translation: only this keeps the source from the masquerade of others. In an inet table a
   * match before must tell the family.
   */
  readonly action: "accept" | "drop" | "masquerade" | "keepSource";
}

/** A base chain with its rules, in nft(8)'s words. What no rule drops is accepted. */
export interface Chain {
  readonly name: string;
  readonly type: "filter" | "nat";
  readonly hook: Hook;
  /** Those of type nat come after connection tracking: more than -200. */
  readonly priority: number;
  readonly rules: readonly Rule[];
}

/** Where a base chain sees packets. */
export type Hook = "prerouting" | "input" | "forward" | "output" | "postrouting";

/** Prefixes under a name, for rules to look an address up in: as fast with thousands of them as with one. */
export interface PrefixSet {
  readonly name: string;
  readonly family: Family;
  /** All of the family, and none that overlaps another: the kernel refuses that (EEXIST). */
  readonly prefixes: readonly Prefix[];
}

/** What a table is known by. */
export interface TableKey {
  readonly family: "inet" | "ip" | "ip6";
  readonly name: string;
}

/** A table of ours: whole, so that it is made and taken away in one transaction. */
export interface Table extends TableKey {
  readonly chains: readonly Chain[];
  readonly sets?: readonly PrefixSet[];
}

/**
 * A legal nft identifier out of words that users choose (container IDs, interface names).
 * What nft would not read is written as its code point, so that different words stay different names.
 */
export function tableName(...words: readonly string[]): string {
  return ["podvpn", ...words].map((word) => word.replaceAll(/[^A-Za-z0-9.-]/gu, escaped)).join("-");
}

/** The word that {@link tableName} was given behind `words`; undefined for another table's name. Pure. */
export function lastWord(name: string, ...words: readonly string[]): string | undefined {
  const start = `${tableName(...words)}-`;
  if (!name.startsWith(start)) return undefined;
  return name
    .slice(start.length)
    .replaceAll(/_([\da-f]+)_/g, (_, code: string) => String.fromCodePoint(Number.parseInt(code, 16)));
}

/** As nft(8) names a table: `inet podvpn-hub`. */
export function tableText({ family, name }: TableKey): string {
  return `${family} ${name}`;
}

function escaped(character: string): string {
  return `_${character.codePointAt(0)?.toString(16)}_`;
}
