import { attribute, nest } from "../netlink/attributes.ts";
import { bigEndianI32, bigEndianU32, cString } from "../netlink/bytes.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../netlink/message.ts";
import type { Change } from "../netlink/netlink.ts";
import * as nf from "./protocol.ts";
import { matchesNothing, ruleExpressions } from "./rule.ts";
import { newSet } from "./set.ts";
import type { Chain, Rule, Table, TableKey } from "./table.ts";

/** Makes the table; the kernel refuses all of it (EEXIST) when one of that name exists. Pure. */
export function createTable(table: Table): Change[] {
  return [
    nf.change(nf.NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, table, attribute(nf.TABLE_NAME, cString(table.name))),
    ...(table.sets ?? []).flatMap((set, index) => newSet(table, set, index + 1)),
    ...table.chains.map((chain) => newChain(table, chain)),
    ...table.chains.flatMap((chain) => rulesOf(chain).map((rule) => newRule(table, chain, rule))),
  ];
}

/** Removes the table; none there is fine, since one is made before. Pure. */
export function deleteTable(table: TableKey): Change[] {
  const name = attribute(nf.TABLE_NAME, cString(table.name));
  return [nf.change(nf.NEWTABLE, NLM_F_CREATE, table, name), nf.change(nf.DELTABLE, 0, table, name)];
}

/** The rules of a chain that the kernel gets: without those that no packet can match. Pure. */
export function rulesOf(chain: Chain): Rule[] {
  return chain.rules.filter((rule) => !matchesNothing(rule));
}

function newChain(table: Table, { name, type, hook, priority }: Chain): Change {
  return nf.change(
    nf.NEWCHAIN,
    NLM_F_CREATE,
    table,
    attribute(nf.CHAIN_TABLE, cString(table.name)),
    attribute(nf.CHAIN_NAME, cString(name)),
    nest(
      nf.CHAIN_HOOK,
      attribute(nf.HOOK_HOOKNUM, bigEndianU32(nf.HOOKS[hook])),
      attribute(nf.HOOK_PRIORITY, bigEndianI32(priority)),
    ),
    attribute(nf.CHAIN_POLICY, bigEndianU32(nf.NF_ACCEPT)),
    attribute(nf.CHAIN_TYPE, cString(type)),
  );
}

function newRule(table: Table, chain: Chain, rule: Rule): Change {
  return nf.change(
    nf.NEWRULE,
    NLM_F_CREATE | NLM_F_APPEND,
    table,
    attribute(nf.RULE_TABLE, cString(table.name)),
    attribute(nf.RULE_CHAIN, cString(chain.name)),
    nest(nf.RULE_EXPRESSIONS, ...ruleExpressions(table, rule)),
  );
}

const NLM_F_APPEND = 0x800;
