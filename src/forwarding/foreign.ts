import { family } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import { beginsWith, sameExpressions } from "../nftables/compare.ts";
import { listOf } from "../nftables/list.ts";
import type { BaseChain, RuleState } from "../nftables/read.ts";
import { matchesExpressions, ruleExpressions } from "../nftables/rule.ts";
import { type Match, type TableKey, tableText } from "../nftables/table.ts";
import { type AcceptRule, acceptRules } from "./iptables.ts";

// What stands in chains of others is theirs: podvpn tells the command, and sees when it has been run.

/** What a chain of somebody else's lacks, and the command that adds it. */
export interface Lack {
  readonly what: string;
  readonly remedy: string;
  readonly command: string;
}

/**
 * What a chain that refuses everything else lacks; undefined when it lets the device's packets pass. Pure.
 * @param rules Those of the whole table. @param subnets Of the families that the chain sees.
 */
export function lackOf(
  chain: BaseChain,
  rules: readonly RuleState[],
  device: string,
  subnets: readonly Prefix[],
): Lack | undefined {
  if (isFirewalld(chain)) return isInZone(rules, device, subnets) ? undefined : firewalldLack(device, subnets);
  const own = rules.filter((rule) => rule.chain === chain.name);
  const missing = acceptRules(device, subnets).filter((rule) => !isAccepted(chain.table, own, rule));
  return missing.length === 0 ? undefined : nftLack(chain, missing);
}

/** The families that a table sees have subnets of these. Pure. */
export function subnetsOf(table: TableKey, subnets: readonly Prefix[]): Prefix[] {
  return subnets.filter((subnet) => table.family === "inet" || (table.family === "ip6") === (family(subnet) === 6));
}

function nftLack({ table, name }: BaseChain, missing: readonly AcceptRule[]): Lack {
  const rules = missing.map((rule) => `insert rule ${tableText(table)} ${name} ${nftText(rule)} accept`);
  const command = `nft '${rules.join("; ")}'`;
  return {
    what: `the chain ${name} of the nft table ${tableText(table)} refuses forwarded packets that none of its rules accepts`,
    remedy: `run \`${command}\`, and write these rules into the configuration that the chain comes from`,
    command,
  };
}

function nftText({ device, direction, subnet }: AcceptRule): string {
  const ip = family(subnet) === 4 ? "ip" : "ip6";
  return direction === "in" ? `iifname "${device}" ${ip} daddr ${subnet}` : `oifname "${device}" ${ip} saddr ${subnet}`;
}

/** By the very rule that the command makes, or by one for all addresses. */
function isAccepted(table: TableKey, rules: readonly RuleState[], { device, direction, subnet }: AcceptRule): boolean {
  const through: Match = { device: direction === "in" ? "iifname" : "oifname", is: device };
  const end: Match = { address: direction === "in" ? "daddr" : "saddr", in: subnet };
  return [[through, end], [through]].some((matches) => {
    const wanted = ruleExpressions(table, { matches, action: "accept" }).flatMap(listOf);
    return rules.some(({ expressions }) => sameExpressions(expressions, wanted));
  });
}

function isFirewalld({ table }: BaseChain): boolean {
  return table.family === "inet" && table.name === "firewalld";
}

/** firewalld sorts packets into zones by the interface or address that they come from, in rules of its own chains. */
function isInZone(rules: readonly RuleState[], device: string, subnets: readonly Prefix[]): boolean {
  const sources: Match[] = [
    { device: "iifname", is: device },
    ...subnets.map((subnet) => ({ address: "saddr", in: subnet }) as const),
  ];
  return sources.every((source) => {
    const wanted = matchesExpressions({ family: "inet" }, [source]).flatMap(listOf);
    return rules.some(({ expressions }) => beginsWith(expressions, wanted));
  });
}

function firewalldLack(device: string, subnets: readonly Prefix[]): Lack {
  const trust = (what: string) => `firewall-cmd --permanent --zone=trusted ${what}`;
  const command = [
    trust(`--add-interface=${device}`),
    ...subnets.map((subnet) => trust(`--add-source=${subnet}`)),
    "firewall-cmd --reload",
  ].join(" && ");
  return { what: "firewalld rejects what is forwarded between its zones", remedy: `run \`${command}\``, command };
}
