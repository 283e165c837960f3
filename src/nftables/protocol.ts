import { concat, u8 } from "../netlink/bytes.ts";
import type { Change } from "../netlink/netlink.ts";
import type { Hook, TableKey } from "./table.ts";

// linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h, linux/netfilter.h: what more than one file here needs.

export const NFNL_SUBSYS_NFTABLES = 10;

/** Bytes of struct nfgenmsg, which every message begins with. */
export const NFGENMSG = 4;

export const NEWTABLE = message(0);
export const GETTABLE = message(1);
export const DELTABLE = message(2);
export const NEWCHAIN = message(3);
export const GETCHAIN = message(4);
export const NEWRULE = message(6);
export const GETRULE = message(7);
export const NEWSET = message(9);
export const NEWSETELEM = message(12);
export const GETSETELEM = message(13);

/** Of the elements of any list: expressions of a rule, elements of a set. */
export const LIST_ELEM = 1;
export const DATA_VALUE = 1;

export const TABLE_NAME = 1;
export const TABLE_FLAGS = 2;
export const CHAIN_TABLE = 1;
export const CHAIN_NAME = 3;
export const CHAIN_HOOK = 4;
export const CHAIN_POLICY = 5;
export const CHAIN_TYPE = 7;
export const HOOK_HOOKNUM = 1;
export const HOOK_PRIORITY = 2;
export const RULE_TABLE = 1;
export const RULE_CHAIN = 2;
export const RULE_EXPRESSIONS = 4;
export const SET_ELEM_LIST_TABLE = 1;
export const SET_ELEM_LIST_SET = 2;
export const SET_ELEM_LIST_ELEMENTS = 3;
export const SET_ELEM_KEY = 1;
export const SET_ELEM_FLAGS = 3;
export const SET_ELEM_INTERVAL_END = 1;

export const NF_DROP = 0;
export const NF_ACCEPT = 1;

/** NF_INET_…, of inet, ip and ip6 alike. */
export const HOOKS: Readonly<Record<Hook, number>> = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 };

/** NFPROTO_…: an inet table's is no address family. */
export const FAMILIES: Readonly<Record<TableKey["family"], number>> = { inet: 1, ip: 2, ip6: 10 };

/** The family behind a number; undefined for others (arp, bridge, netdev). */
export function tableFamily(number: number): TableKey["family"] | undefined {
  return TABLE_FAMILIES.find((family) => FAMILIES[family] === number);
}

/** One change of a transaction. */
export function change(type: number, flags: number, table: TableKey, ...attributes: readonly Uint8Array[]): Change {
  return { type, flags, body: concat(header(FAMILIES[table.family]), ...attributes) };
}

/** struct nfgenmsg. @param family NFPROTO_…; 0 for all of them. */
export function header(family: number): Uint8Array {
  return concat(u8(family), u8(NFNETLINK_V0), u8(0), u8(0));
}

const NFNETLINK_V0 = 0;
const TABLE_FAMILIES = ["inet", "ip", "ip6"] as const;

function message(number: number): number {
  return (NFNL_SUBSYS_NFTABLES << 8) | number;
}
