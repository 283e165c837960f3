import type { Netlink } from "../netlink/netlink.ts";
import type { Netns } from "../os/namespace.ts";
import { sameExpressions } from "./compare.ts";
import { listOf } from "./list.ts";
import { rulesOf } from "./messages.ts";
import { openNftables } from "./open.ts";
import { type BaseChain, type RuleState, readBaseChains, readElements, readRules, readTable } from "./read.ts";
import { ruleExpressions } from "./rule.ts";
import { elementNames } from "./set.ts";
import { type Chain, type PrefixSet, type Table, tableText } from "./table.ts";

/**
 * What of a table is not there any more as `ensureTable` made it, in words; empty when all of it is. Nothing of it is
 * taken on trust: chains, rules and sets are read.
 * @throws NetlinkError.
 */
export async function missingOfTable(table: Table, netns?: Netns): Promise<string[]> {
  using nl = openNftables(netns);
  return await missing(nl, table);
}

/** The same, over a socket that is open. @throws NetlinkError. */
export async function missing(nl: Netlink, table: Table): Promise<string[]> {
  const name = `nft table ${tableText(table)}`;
  const state = await readTable(nl, table);
  if (state === undefined) return [name];
  if (state.dormant) return [`${name} (it is dormant)`];
  const chains = (await readBaseChains(nl, table.family)).filter((chain) => chain.table.name === table.name);
  const rules = await readRules(nl, table);
  const broken: string[] = chains.length > table.chains.length ? [`${name} (there are other chains in it)`] : [];
  for (const chain of table.chains) {
    if (!chains.some((there) => isChain(there, chain))) broken.push(`chain ${chain.name} of the ${name}`);
    else if (!hasRules(rules, table, chain)) broken.push(`rules of the chain ${chain.name} of the ${name}`);
  }
  for (const set of table.sets ?? []) {
    if (!hasElements(await readElements(nl, table, set.name), set)) broken.push(`set ${set.name} of the ${name}`);
  }
  return broken;
}

function isChain(there: BaseChain, { name, type, hook, priority }: Chain): boolean {
  return (
    there.name === name &&
    there.type === type &&
    there.hook === hook &&
    there.priority === priority &&
    there.policy === "accept"
  );
}

/** These and no others: one more could accept what a later one shall drop. */
function hasRules(rules: readonly RuleState[], table: Table, chain: Chain): boolean {
  const there = rules.filter((rule) => rule.chain === chain.name);
  const wanted = rulesOf(chain).map((rule) => ruleExpressions(table, rule));
  return (
    there.length === wanted.length &&
    there.every(({ expressions }, index) => sameExpressions(expressions, (wanted[index] ?? []).flatMap(listOf)))
  );
}

function hasElements(there: ReadonlySet<string>, { prefixes }: PrefixSet): boolean {
  const wanted = prefixes.flatMap(elementNames);
  return there.size === wanted.length && wanted.every((name) => there.has(name));
}
