import { forwardChains, refuses } from "../../forwarding/chains.ts";
import { findIptables } from "../../forwarding/iptables.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { beginsWith } from "../../nftables/compare.ts";
import { listOf } from "../../nftables/list.ts";
import { type BaseChain, type RuleState, readBaseChains, readRules } from "../../nftables/read.ts";
import { ruleExpressions } from "../../nftables/rule.ts";
import { type Match, type TableKey, tableText } from "../../nftables/table.ts";
import { run } from "../../os/process.ts";
import type { MeshDevice } from "./devices.ts";

/**
 * Packets of this node itself that a tunnel cannot do without. ICMP: nodes ask each other. ESP: the kernel's, where no NAT
 * is on the way. With a device: those alone that come, or go, by it.
 */
export type Needed = ({ readonly udpPort: number } | { readonly protocol: "icmp" | "esp" }) & {
  readonly device?: string;
};

/** What has to come in for a device. Pure. */
export function neededIn(device: MeshDevice): Needed[] {
  const { kind, port } = device;
  if (kind === "ipsec") return [...ikeAndEsp(device), ...inTunnel(device)];
  return [...(port === 0 ? [] : [{ udpPort: port }]), ...inTunnel(device)];
}

/** What has to go out for a device. Pure. */
export function neededOut(device: MeshDevice): Needed[] {
  if (device.kind === "ipsec") return [...ikeAndEsp(device), ...inTunnel(device)];
  const ports = new Set(device.peers.flatMap(({ endpoint }) => (endpoint === undefined ? [] : [endpoint.port])));
  return [...[...ports].map((udpPort) => ({ udpPort })), ...inTunnel(device)];
}

function ikeAndEsp({ dataPlane }: MeshDevice): Needed[] {
  return [{ udpPort: 500 }, { udpPort: 4500 }, ...(dataPlane === "kernel" ? [{ protocol: "esp" as const }] : [])];
}

/** Agents probe each other through the tunnel. */
function inTunnel({ name: device, probePort }: MeshDevice): Needed[] {
  return probePort === undefined
    ? []
    : [
        { udpPort: probePort, device },
        { protocol: "icmp", device },
      ];
}

/** A chain that refuses some of it. */
export interface Closed {
  readonly what: string;
  /** Lets it through. */
  readonly command: string;
}

/** Where packets of this node itself come in, or go out. */
type LocalHook = "input" | "output";

/** The chains at a hook that refuse some of what is needed there. Changes nothing. @throws NetlinkError, Fault. */
export async function closedAt(nl: Netlink, hook: LocalHook, needed: readonly Needed[]): Promise<Closed[]> {
  const chains = (await readBaseChains(nl)).filter((chain) => chain.type === "filter" && chain.hook === hook);
  const closed: Closed[] = [];
  for (const chain of chains) {
    if (!(await refuses(nl, chain))) continue;
    const { table, name } = chain;
    const rules = (await readRules(nl, table)).filter((rule) => rule.chain === name);
    const lacking = needed.filter((one) => !isLetThrough(table, rules, hook, one));
    if (lacking.some((one) => "udpPort" in one)) closed.push(await closedChain(chain, hook, lacking));
  }
  const { iptables } = await forwardChains(nl, undefined);
  for (const { backend, family } of iptables) {
    const program = backend === "legacy" ? await findIptables("legacy", family) : undefined;
    if (program !== undefined) closed.push(await closedIptables(program, hook, needed));
  }
  return closed.filter(({ command }) => command !== "");
}

/** What nft has no one way to write is asked for with the rest. */
function isLetThrough(table: TableKey, rules: readonly RuleState[], hook: LocalHook, needed: Needed): boolean {
  if (!("udpPort" in needed)) return false;
  const { udpPort, device } = needed;
  const by: Match[] = device === undefined ? [] : [{ device: deviceField(hook), is: device }];
  const accepts = (matches: readonly Match[]) => {
    const wanted = ruleExpressions(table, { matches, action: "accept" }).flatMap(listOf);
    return rules.some(({ expressions }) => beginsWith(expressions, wanted));
  };
  return accepts([{ udpPort }]) || accepts([...by, { udpPort }]);
}

function deviceField(hook: LocalHook): "iifname" | "oifname" {
  return hook === "input" ? "iifname" : "oifname";
}

/** iptables' own chain takes rules of its own program alone. */
async function closedChain({ table, name }: BaseChain, hook: LocalHook, needed: readonly Needed[]): Promise<Closed> {
  const isIptables = table.family !== "inet" && table.name === "filter" && name === hook.toUpperCase();
  const program = isIptables ? await findIptables("nft", table.family === "ip" ? 4 : 6) : undefined;
  if (program !== undefined) return closedIptables(program, hook, needed);
  const rules = needed.map((one) => `insert rule ${tableText(table)} ${name} ${nftMatch(one, hook)} accept`);
  const what = `the chain ${name} of the nft table ${tableText(table)} refuses what none of its rules accepts`;
  return { what, command: `nft '${rules.join("; ")}'` };
}

function nftMatch(needed: Needed, hook: LocalHook): string {
  const by = needed.device === undefined ? "" : `${deviceField(hook)} "${needed.device}" `;
  if ("udpPort" in needed) return `${by}udp dport ${needed.udpPort}`;
  return `${by}meta l4proto ${needed.protocol === "esp" ? "esp" : "{ icmp, ipv6-icmp }"}`;
}

/** Milliseconds. */
const TIMEOUT = 10_000;

/** Without a command where it is open. */
async function closedIptables(path: string, hook: LocalHook, needed: readonly Needed[]): Promise<Closed> {
  const chain = hook.toUpperCase();
  const { stdout } = await run(path, ["-w", "5", "-S", chain], { timeout: TIMEOUT, env: { LC_ALL: "C" } });
  const name = path.slice(path.lastIndexOf("/") + 1);
  const version = name.startsWith("ip6") ? 6 : 4;
  const commands = lackingRules(stdout.toString(), chain, needed, version).map((rule) => `${name} -I ${chain} ${rule}`);
  return {
    what: `the chain ${chain} of ${name} refuses what none of its rules accepts`,
    command: commands.join(" && "),
  };
}

/**
 * The rules that a chain of iptables lacks; none where it accepts what it has no rule for. Pure.
 * @param listing As `iptables -S` has it. @param version Of IP.
 */
export function lackingRules(listing: string, chain: string, needed: readonly Needed[], version: 4 | 6): string[] {
  const lines = listing.split("\n").map((line) => line.replace(" -m udp", ""));
  const refusing = [`-P ${chain} DROP`, `-A ${chain} -j DROP`, `-A ${chain} -j REJECT`];
  if (!lines.some((line) => refusing.some((start) => line.startsWith(start)))) return [];
  return needed.flatMap((one) => {
    const rule = `-p ${protocolMatch(one, version)} -j ACCEPT`;
    if (lines.some((line) => line.endsWith(rule))) return [];
    const by = one.device === undefined ? "" : `${chain === "INPUT" ? "-i" : "-o"} ${one.device} `;
    return [`${by}${rule}`];
  });
}

function protocolMatch(needed: Needed, version: 4 | 6): string {
  if ("udpPort" in needed) return `udp --dport ${needed.udpPort}`;
  return needed.protocol === "icmp" && version === 6 ? "ipv6-icmp" : needed.protocol;
}
