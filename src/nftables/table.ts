import type { Prefix } from "../net/prefix.ts";

/** A condition on a packet: all of a rule's must hold. */
export type Match =
  /** The device is another one than this. A star at the end of the name stands for anything. */
  | { readonly device: "iifname" | "oifname"; readonly isNot: string }
  /** The address is in the prefix. */
  | { readonly address: "saddr" | "daddr"; readonly in: Prefix }
  /** It is UDP to this port. */
  | { readonly udpPort: number }
  /** The address, of the family of the match before, is in none of the prefixes. */
  | { readonly address: "saddr" | "daddr"; readonly notIn: readonly Prefix[] };

/** What becomes of the packets that match; those that are dropped are counted. */
export interface Rule {
  readonly matches: readonly Match[];
  readonly action: "drop" | "masquerade";
}

/** A base chain with its rules, in nft(8)'s words. What no rule drops is accepted. */
export interface Chain {
  readonly name: string;
  readonly type: "filter" | "nat";
  readonly hook: "prerouting" | "input" | "postrouting";
  readonly priority: number;
  readonly rules: readonly Rule[];
}

/** What a table is known by. */
export interface TableKey {
  readonly family: "inet" | "ip" | "ip6";
  readonly name: string;
}

/** A table of ours: whole, so that it is made and taken away in one transaction. */
export interface Table extends TableKey {
  readonly chains: readonly Chain[];
}

/**
 * A legal nft identifier out of words that users choose (container IDs, interface names).
 * What nft would not read is written as its code point, so that different words stay different names.
 */
export function tableName(...words: readonly string[]): string {
  return ["podvpn", ...words].map((word) => word.replaceAll(/[^A-Za-z0-9.-]/gu, escaped)).join("-");
}

function escaped(character: string): string {
  return `_${character.codePointAt(0)?.toString(16)}_`;
}
