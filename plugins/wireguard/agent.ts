import type { WireguardConfig } from "../../src/config/wireguard.ts";
import { Code, Fault } from "../../src/fault.ts";
import { aggregate } from "../../src/net/aggregate.ts";
import { getLink } from "../../src/netlink/links.ts";
import type { Netlink } from "../../src/netlink/netlink.ts";
import { missingOfTable } from "../../src/nftables/missing.ts";
import { listGuards, tableOfGuard } from "../../src/node/guards.ts";
import { AGENT_NETWORK, type DeviceRecord, listDeviceRecords } from "../../src/node/record.ts";

/** Remedy for what the agent has still to make. */
export const START = "start podvpn agent on this node (`systemctl start podvpn`), and see what it logs";

/**
 * The configuration with what the agent has on this node: the name of its device, and the prefixes of its mesh. Those
 * behind its other tunnels as well: to a pod they are one mesh. One without `agent` is given back as it is.
 * @throws Fault 11 when the agent has no device here, so that the runtime tries again.
 */
export function withAgents(config: WireguardConfig): WireguardConfig {
  if (config.agent !== true) return config;
  const { interface: name, table, fwmark } = agentsDevice();
  const meshPrefixes = aggregate(agentsGuards().flatMap(({ guarded }) => guarded));
  return { ...config, interface: name, meshPrefixes, fwmark, ...(table === undefined ? {} : { table }) };
}

/** The record of the agent's WireGuard device; undefined when there is none on this node. */
export function findAgentsDevice(): DeviceRecord | undefined {
  return listDeviceRecords().find(({ network }) => network === AGENT_NETWORK);
}

/** @throws Fault 11 when the agent has no WireGuard device on this node. */
export function agentsDevice(): DeviceRecord {
  const record = findAgentsDevice();
  if (record !== undefined) return record;
  const what = "wireguard.agent is true, and podvpn agent has no WireGuard device on this node";
  throw new Fault(Code.tryAgainLater, what, START);
}

/**
 * Sees that the agent's devices are there, and that nothing of the mesh can pass by them.
 * @returns The smallest MTU of them, in bytes. @throws Fault 11 for what the agent has still to make, NetlinkError.
 */
export async function requireAgents(nl: Netlink): Promise<number> {
  const missing = await missingOfAgents(nl);
  if (missing.length > 0) throw new Fault(Code.tryAgainLater, missing.join("; "), START);
  const links = await Promise.all(agentsGuards().map(({ interface: name }) => getLink(nl, name)));
  return Math.min(...links.flatMap((link) => (link === undefined ? [] : [link.mtu])));
}

/** What of the agent's devices and their guards is not there, in words. Nothing is mended: that is the agent's. @throws NetlinkError. */
export async function missingOfAgents(nl: Netlink): Promise<string[]> {
  const missing: string[] = [];
  for (const guard of agentsGuards()) {
    const link = await getLink(nl, guard.interface);
    if (link?.up !== true)
      missing.push(`the agent's device ${guard.interface} is ${link === undefined ? "gone" : "down"}`);
    missing.push(...(await missingOfTable(tableOfGuard(guard))).map((what) => `missing: ${what}`));
  }
  return missing;
}

function agentsGuards() {
  return listGuards().filter(({ network }) => network === AGENT_NETWORK);
}
