import { type Family, family } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { openNftables } from "../nftables/open.ts";
import { type BaseChain, readRules } from "../nftables/read.ts";
import type { Netns } from "../os/namespace.ts";
import { forwardChains, type IptablesChain, refuses } from "./chains.ts";
import { lackOf, subnetsOf } from "./foreign.ts";
import { type AcceptRule, acceptRules, findIptables, isSameRule, readForward, ruleArguments } from "./iptables.ts";

/** What is to be forwarded. */
export interface ForwardingRequest {
  /** A WireGuard device of the node. */
  readonly device: string;
  /** Of the pods on the node. */
  readonly subnets: readonly Prefix[];
  /** Ours without it. */
  readonly netns?: Netns;
}

/** A firewall of the node that drops what is forwarded between the device and the pods. */
export interface Obstacle {
  /** In words, without a full stop, as in a Fault. */
  readonly what: string;
  /** A sentence in the imperative, with the command. */
  readonly remedy: string;
  /** The command of the remedy, for a shell. */
  readonly command?: string;
  /** How podvpn opens it by itself. */
  readonly opening?: { readonly program: string; readonly rules: readonly AcceptRule[] };
}

/**
 * What keeps packets from being forwarded between the device and the pods' subnets: every chain at hook "forward" that
 * refuses what no rule of its own accepts (whatever others accept), and lacks the rules for them. Changes nothing, and
 * runs no program unless iptables refuses something. @throws NetlinkError, Fault 5.
 */
export async function forwardingObstacles(request: ForwardingRequest): Promise<Obstacle[]> {
  using nl = openNftables(request.netns);
  const chains = await forwardChains(nl, request.netns);
  const obstacles: (Obstacle | undefined)[] = [];
  for (const chain of chains.iptables) obstacles.push(await ofIptables(nl, chain, request));
  for (const chain of chains.others) obstacles.push(await ofOthers(nl, chain, request));
  return obstacles.filter((obstacle) => obstacle !== undefined);
}

/** As a line of a log or a message. Pure. */
export function obstacleText({ what, remedy }: Obstacle): string {
  return `${what}; ${remedy}`;
}

async function ofIptables(nl: Netlink, at: IptablesChain, request: ForwardingRequest): Promise<Obstacle | undefined> {
  const subnets = request.subnets.filter((subnet) => family(subnet) === at.family);
  if (subnets.length === 0) return undefined;
  if (at.backend === "nft" && !(await refuses(nl, at.chain))) return undefined;
  const program = await findIptables(at.backend, at.family);
  const forward = program === undefined ? undefined : await readForward(program, request.netns);
  if (program === undefined || forward === undefined) {
    return at.backend === "nft" ? ofOthers(nl, at.chain, request) : unknownLegacy(at.family, program);
  }
  if (at.backend === "legacy" && !forward.refuses) return undefined;
  return closedIptables(program, forward.accepts, request.device, subnets);
}

/** What a chain FORWARD lacks that refuses what no rule of it accepts. Pure. @param accepts The rules of ours in it. */
export function closedIptables(
  program: string,
  accepts: readonly AcceptRule[],
  device: string,
  subnets: readonly Prefix[],
): Obstacle | undefined {
  const rules = acceptRules(device, subnets).filter((rule) => !accepts.some((there) => isSameRule(there, rule)));
  if (rules.length === 0) return undefined;
  const name = program.slice(program.lastIndexOf("/") + 1);
  const command = rules.map((rule) => [name, "-I FORWARD", ...ruleArguments(rule)].join(" ")).join(" && ");
  const what = `the chain FORWARD of ${name} refuses forwarded packets that none of its rules accepts`;
  return { what, remedy: `run \`${command}\``, command, opening: { program, rules } };
}

async function ofOthers(nl: Netlink, chain: BaseChain, request: ForwardingRequest): Promise<Obstacle | undefined> {
  const subnets = subnetsOf(chain.table, request.subnets);
  if (subnets.length === 0 || !(await refuses(nl, chain))) return undefined;
  return lackOf(chain, await readRules(nl, chain.table), request.device, subnets);
}

/** iptables-legacy's own program is missing, or does not tell. Pure. */
export function unknownLegacy(version: Family, program: string | undefined): Obstacle {
  const name = version === 4 ? "iptables-legacy" : "ip6tables-legacy";
  const what = `the kernel has a table "filter" of ${name}, which may refuse forwarded packets`;
  const remedy =
    program === undefined
      ? `install ${name} (Debian: package iptables), so that podvpn can look into it`
      : `see why \`${program} -S FORWARD\` fails`;
  return { what, remedy };
}
