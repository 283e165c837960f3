import { attribute, nest, parseAttributes } from "../netlink/attributes.ts";
import { bigEndianI32, bigEndianU32, concat, cString, readCString, readU8, u8 } from "../netlink/bytes.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../netlink/message.ts";
import type { Change } from "../netlink/netlink.ts";
import { matchesNothing, ruleExpressions } from "./expressions.ts";
import type { Chain, Rule, Table, TableKey } from "./table.ts";

/** linux/netfilter/nfnetlink.h */
export const NFNL_SUBSYS_NFTABLES = 10;

/** Makes the table; the kernel refuses all of it (EEXIST) when one of that name exists. Pure. */
export function createTable(table: Table): Change[] {
  return [
    change(NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, table, attribute(TABLE_NAME, cString(table.name))),
    ...table.chains.map((chain) => newChain(table, chain)),
    ...table.chains.flatMap((chain) =>
      chain.rules.filter((rule) => !matchesNothing(rule)).map((rule) => newRule(table, chain, rule)),
    ),
  ];
}

/** Removes the table; none there is fine, since one is made before. Pure. */
export function deleteTable(table: TableKey): Change[] {
  const name = attribute(TABLE_NAME, cString(table.name));
  return [change(NEWTABLE, NLM_F_CREATE, table, name), change(DELTABLE, 0, table, name)];
}

/** Type and body of the request for all tables. Pure. */
export function tablesRequest(): { readonly type: number; readonly body: Uint8Array } {
  return { type: GETTABLE, body: header(0) };
}

/** What one answer to {@link tablesRequest} tells: `family name`; undefined for other families (arp, bridge, netdev). */
export function tableOf(body: Uint8Array): string | undefined {
  const family = Object.entries(FAMILIES).find(([, number]) => number === readU8(body, 0))?.[0];
  const name = parseAttributes(body.subarray(NFGENMSG)).get(TABLE_NAME);
  return family === undefined || name === undefined ? undefined : `${family} ${readCString(name)}`;
}

function newChain(table: Table, { name, type, hook, priority }: Chain): Change {
  return change(
    NEWCHAIN,
    NLM_F_CREATE,
    table,
    attribute(CHAIN_TABLE, cString(table.name)),
    attribute(CHAIN_NAME, cString(name)),
    nest(
      CHAIN_HOOK,
      attribute(HOOK_HOOKNUM, bigEndianU32(HOOKS[hook])),
      attribute(HOOK_PRIORITY, bigEndianI32(priority)),
    ),
    attribute(CHAIN_POLICY, bigEndianU32(NF_ACCEPT)),
    attribute(CHAIN_TYPE, cString(type)),
  );
}

function newRule(table: Table, chain: Chain, rule: Rule): Change {
  return change(
    NEWRULE,
    NLM_F_CREATE | NLM_F_APPEND,
    table,
    attribute(RULE_TABLE, cString(table.name)),
    attribute(RULE_CHAIN, cString(chain.name)),
    nest(RULE_EXPRESSIONS, ...ruleExpressions(table.family, rule)),
  );
}

function change(type: number, flags: number, table: TableKey, ...attributes: readonly Uint8Array[]): Change {
  return { type, flags, body: concat(header(FAMILIES[table.family]), ...attributes) };
}

/** struct nfgenmsg (linux/netfilter/nfnetlink.h). */
function header(family: number): Uint8Array {
  return concat(u8(family), u8(NFNETLINK_V0), u8(0), u8(0));
}

function subsystem(message: number): number {
  return (NFNL_SUBSYS_NFTABLES << 8) | message;
}

/** linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h, linux/netfilter.h */

const NFNETLINK_V0 = 0;
const NLM_F_APPEND = 0x800;
const NFGENMSG = 4;
const NEWTABLE = subsystem(0);
const GETTABLE = subsystem(1);
const DELTABLE = subsystem(2);
const NEWCHAIN = subsystem(3);
const NEWRULE = subsystem(6);
const TABLE_NAME = 1;
const CHAIN_TABLE = 1;
const CHAIN_NAME = 3;
const CHAIN_HOOK = 4;
const CHAIN_POLICY = 5;
const CHAIN_TYPE = 7;
const HOOK_HOOKNUM = 1;
const HOOK_PRIORITY = 2;
const RULE_TABLE = 1;
const RULE_CHAIN = 2;
const RULE_EXPRESSIONS = 4;
const NF_ACCEPT = 1;
const HOOKS = { prerouting: 0, input: 1, postrouting: 4 } as const;
/** NFPROTO_…: an inet table's is no address family. */
const FAMILIES = { inet: 1, ip: 2, ip6: 10 } as const;
