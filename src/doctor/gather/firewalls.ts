import { forwardingObstacles, type Obstacle } from "../../forwarding/obstacles.ts";
import type { SysctlChange } from "../../forwarding/sysctl.ts";
import { overlaps } from "../../net/prefix.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { openRoute } from "../../netlink/open.ts";
import { beginsWith } from "../../nftables/compare.ts";
import { listOf } from "../../nftables/list.ts";
import { openNftables } from "../../nftables/open.ts";
import { readBaseChains, readRules } from "../../nftables/read.ts";
import { ruleExpressions } from "../../nftables/rule.ts";
import { tableText } from "../../nftables/table.ts";
import { neededSysctls } from "../../node/forwarding.ts";
import type { Observed } from "../../node/observe.ts";
import { readSysctl } from "../../os/sysctl.ts";
import type { MeshDevice } from "./devices.ts";
import { type Closed, closedAt, neededIn, neededOut } from "./local-chains.ts";

/** What of others' firewalls, and of the kernel's settings, concerns a device. */
export interface FirewallFacts {
  readonly device: MeshDevice;
  /** At hook "forward". */
  readonly obstacles: readonly Obstacle[];
  /** Chains at hook "input" that may refuse the peers' packets, with the command that lets them in. */
  readonly input: readonly Closed[];
  /** The same of hook "output", and packets to the peers. */
  readonly output: readonly Closed[];
  /** Chains that give packets another source before podvpn's own keeps it. */
  readonly early: readonly Closed[];
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
    input: await closedAt(nl, "input", neededIn(device)),
    output: await closedAt(nl, "output", neededOut(device)),
    early: await earlySources(nl, name),
    sysctls: device.link === undefined ? [] : await neededSysctls(route, { devices: [name], podInterfaces, subnets }),
    rpFilter: Math.max(...["all", name].map((of) => Number(readSysctl(`net/ipv4/conf/${of}/rp_filter`) ?? 0))),
  };
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
