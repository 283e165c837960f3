import { forwardChains, refuses } from "../../forwarding/chains.ts";
import { findIptables } from "../../forwarding/iptables.ts";
import { forwardingObstacles, type Obstacle } from "../../forwarding/obstacles.ts";
import type { SysctlChange } from "../../forwarding/sysctl.ts";
import { overlaps } from "../../net/prefix.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { openRoute } from "../../netlink/open.ts";
import { beginsWith } from "../../nftables/compare.ts";
import { listOf } from "../../nftables/list.ts";
import { openNftables } from "../../nftables/open.ts";
import { type BaseChain, type RuleState, readBaseChains, readRules } from "../../nftables/read.ts";
import { ruleExpressions } from "../../nftables/rule.ts";
import { type TableKey, tableText } from "../../nftables/table.ts";
import { neededSysctls } from "../../node/forwarding.ts";
import type { Observed } from "../../node/observe.ts";
import { run } from "../../os/process.ts";
import { readSysctl } from "../../os/sysctl.ts";
import type { MeshDevice } from "./devices.ts";

/** What of others' firewalls, and of the kernel's settings, concerns a device. */
export interface FirewallFacts {
  readonly device: MeshDevice;
  /** At hook "forward". */
  readonly obstacles: readonly Obstacle[];
  /** Chains at hook "input" that may refuse the peers' packets, with the command that lets them in. */
  readonly input: readonly { readonly what: string; readonly command: string }[];
  /** The same of hook "output", and packets to the peers. */
  readonly output: readonly { readonly what: string; readonly command: string }[];
  /** Chains that give packets another source before podvpn's own keeps it. */
  readonly early: readonly { readonly what: string; readonly command: string }[];
  /** What the kernel's settings should be. */
  readonly sysctls: readonly SysctlChange[];
  /** rp_filter in force: the larger of the device's and that of all. */
  readonly rpFilter: number;
}

/** podvpn's own chain that keeps the source has this priority. */
const OWN_SOURCE = -150;

/** Reads them. Changes nothing. @throws NetlinkError, Fault. */
export async function readFirewalls(device: MeshDevice, observed: Observed): Promise<FirewallFacts> {
  const { name, record } = device;
  const subnets = record.podSubnets;
  using nl = openNftables(undefined);
  using route = openRoute();
  const podInterfaces = observed.subnets
    .filter(({ dev, prefix }) => dev !== name && subnets.some((pods) => overlaps(pods, prefix)))
    .map(({ dev }) => dev);
  return {
    device,
    obstacles: await forwardingObstacles({ device: name, subnets }),
    input: await closedAt(nl, "input", portsOf(device)),
    output: await closedAt(nl, "output", peerPortsOf(device)),
    early: await earlySources(nl, name),
    sysctls: device.link === undefined ? [] : await neededSysctls(route, { devices: [name], podInterfaces, subnets }),
    rpFilter: Math.max(...["all", name].map((of) => Number(readSysctl(`net/ipv4/conf/${of}/rp_filter`) ?? 0))),
  };
}

function portsOf({ kind, port }: MeshDevice): number[] {
  if (kind === "ipsec") return [500, 4500];
  return port === 0 ? [] : [port];
}

/** Of the peers of a device. */
function peerPortsOf({ kind, peers }: MeshDevice): number[] {
  if (kind === "ipsec") return [500, 4500];
  return [...new Set(peers.flatMap(({ endpoint }) => (endpoint === undefined ? [] : [endpoint.port])))];
}

type Closed = FirewallFacts["input"][number];

/** Where packets of this node itself come in, or go out. */
type LocalHook = "input" | "output";

async function closedAt(nl: Netlink, hook: LocalHook, ports: readonly number[]): Promise<Closed[]> {
  const chains = (await readBaseChains(nl)).filter((chain) => chain.type === "filter" && chain.hook === hook);
  const closed: Closed[] = [];
  for (const chain of chains) {
    if (!(await refuses(nl, chain))) continue;
    const { table, name } = chain;
    const rules = (await readRules(nl, table)).filter((rule) => rule.chain === name);
    const lacking = ports.filter((port) => !isLetThrough(table, rules, port));
    if (lacking.length > 0) closed.push(await closedChain(chain, hook, lacking));
  }
  const { iptables } = await forwardChains(nl, undefined);
  for (const { backend, family } of iptables) {
    const program = backend === "legacy" ? await findIptables("legacy", family) : undefined;
    if (program !== undefined) closed.push(await closedIptables(program, hook, ports));
  }
  return closed.filter(({ command }) => command !== "");
}

function isLetThrough(table: TableKey, rules: readonly RuleState[], udpPort: number): boolean {
  const wanted = ruleExpressions(table, { matches: [{ udpPort }], action: "accept" }).flatMap(listOf);
  return rules.some(({ expressions }) => beginsWith(expressions, wanted));
}

/** iptables' own chain takes rules of its own program alone. */
async function closedChain({ table, name }: BaseChain, hook: LocalHook, ports: readonly number[]): Promise<Closed> {
  const isIptables = table.family !== "inet" && table.name === "filter" && name === hook.toUpperCase();
  const program = isIptables ? await findIptables("nft", table.family === "ip" ? 4 : 6) : undefined;
  if (program !== undefined) return closedIptables(program, hook, ports);
  const rules = ports.map((port) => `insert rule ${tableText(table)} ${name} udp dport ${port} accept`);
  const what = `the chain ${name} of the nft table ${tableText(table)} refuses what none of its rules accepts`;
  return { what, command: `nft '${rules.join("; ")}'` };
}

/** Milliseconds. */
const TIMEOUT = 10_000;

/** Without a command where it is open. */
async function closedIptables(path: string, hook: LocalHook, ports: readonly number[]): Promise<Closed> {
  const chain = hook.toUpperCase();
  const { stdout } = await run(path, ["-w", "5", "-S", chain], { timeout: TIMEOUT, env: { LC_ALL: "C" } });
  const lacking = lackingPorts(stdout.toString(), chain, ports);
  const name = path.slice(path.lastIndexOf("/") + 1);
  const commands = lacking.map((port) => `${name} -I ${chain} -p udp --dport ${port} -j ACCEPT`);
  return {
    what: `the chain ${chain} of ${name} refuses what none of its rules accepts`,
    command: commands.join(" && "),
  };
}

/** The UDP ports that a chain lacks a rule for; none where it accepts what it has no rule for. Pure. */
export function lackingPorts(listing: string, chain: string, ports: readonly number[]): number[] {
  const lines = listing.split("\n");
  const refusing = [`-P ${chain} DROP`, `-A ${chain} -j DROP`, `-A ${chain} -j REJECT`];
  if (!lines.some((line) => refusing.some((start) => line.startsWith(start)))) return [];
  return ports.filter((port) => !lines.some((line) => line.includes(`--dport ${port} -j ACCEPT`)));
}

/** The first chain that translates a connection decides (docs/facts/netfilter.md). */
async function earlySources(nl: Netlink, device: string): Promise<Closed[]> {
  const chains = (await readBaseChains(nl)).filter(
    ({ type, hook, priority }) => type === "nat" && hook === "postrouting" && priority < OWN_SOURCE,
  );
  const early: Closed[] = [];
  for (const { table, name, priority } of chains) {
    const rules = (await readRules(nl, table)).filter((rule) => rule.chain === name);
    const kept = ruleExpressions(table, { matches: [{ device: "oifname", is: device }], action: "accept" });
    const isKept = rules[0] !== undefined && beginsWith(rules[0].expressions, kept.flatMap(listOf));
    if (rules.length === 0 || isKept) continue;
    early.push({
      what: `the chain ${name} of the nft table ${tableText(table)} (priority ${priority}) comes before podvpn's`,
      command: `nft 'insert rule ${tableText(table)} ${name} oifname "${device}" accept'`,
    });
  }
  return early;
}
