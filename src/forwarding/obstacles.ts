import { family } from "../net/address.ts";
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
  const wanted = acceptRules(
    request.device,
    request.subnets.filter((subnet) => family(subnet) === at.family),
  );
  if (wanted.length === 0) return undefined;
  if (at.backend === "nft" && !(await refuses(nl, at.chain))) return undefined;
  const program = await findIptables(at.backend, at.family);
  const forward = program === undefined ? undefined : await readForward(program, request.netns);
  if (program === undefined || forward === undefined) {
    return at.backend === "nft" ? ofOthers(nl, at.chain, request) : unknownLegacy(at.family, program);
  }
  const missing = wanted.filter((rule) => !forward.accepts.some((there) => isSameRule(there, rule)));
  if (!forward.refuses || missing.length === 0) return undefined;
  const name = program.slice(program.lastIndexOf("/") + 1);
  const command = missing.map((rule) => [name, "-I FORWARD", ...ruleArguments(rule)].join(" ")).join(" && ");
  return {
    what: `the chain FORWARD of ${name} refuses forwarded packets that none of its rules accepts`,
    remedy: remedyOf(command),
    command,
    opening: { program, rules: missing },
  };
}

async function ofOthers(nl: Netlink, chain: BaseChain, request: ForwardingRequest): Promise<Obstacle | undefined> {
  const subnets = subnetsOf(chain.table, request.subnets);
  if (subnets.length === 0 || !(await refuses(nl, chain))) return undefined;
  const lack = lackOf(chain, await readRules(nl, chain.table), request.device, subnets);
  return lack && { ...lack, remedy: remedyOf(lack.command) };
}

function unknownLegacy(version: 4 | 6, program: string | undefined): Obstacle {
  const what = `iptables-legacy has a table "filter" for IPv${version} in the kernel, which may refuse forwarded packets`;
  return program === undefined
    ? { what, remedy: "install the program iptables-legacy, so that podvpn can ask and open it" }
    : { what, remedy: `see why \`${program} -S FORWARD\` fails` };
}

function remedyOf(command: string): string {
  return `run \`${command}\`, and see that it is done again when that firewall is reloaded`;
}
