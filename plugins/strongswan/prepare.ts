import { type PodAddress, podAddresses } from "../../src/attachment/addresses.ts";
import { bridgeConfig } from "../../src/attachment/bridge.ts";
import { podGuard } from "../../src/attachment/guard.ts";
import { type StrongswanAttachment, writeAttachment } from "../../src/attachment/record.ts";
import { ipamSubnets } from "../../src/config/consistency.ts";
import { applyGuard, removeGuard } from "../../src/guard/apply.ts";
import { freeRulePriority } from "../../src/guard/tunnel-rule.ts";
import { hostPrefix } from "../../src/net/prefix.ts";
import { type LinkAddress, listAddresses } from "../../src/netlink/addresses.ts";
import { keyOf, type Work } from "./work.ts";

/** `lo` is the first link of every network namespace. */
const LOOPBACK_INDEX = 1;

/**
 * The record of an attachment of which nothing is made yet. @param addresses Of the node; read here without it.
 * @throws Fault 4 when the pod has too many tunnels, NetlinkError.
 */
export async function firstRecord(
  { call, config, node, pod }: Work,
  dataPlane: StrongswanAttachment["dataPlane"],
  addresses: Promise<readonly LinkAddress[]> = listAddresses(node),
): Promise<StrongswanAttachment> {
  const [nodes, rulePriority] = await Promise.all([addresses, freeRulePriority(pod)]);
  // Those of lo stay out: there a hub on this very node keeps its address of the virtual subnet.
  const own = nodes.filter(({ index }) => index !== LOOPBACK_INDEX);
  const { prevResult, raw } = call.config;
  const chained = prevResult !== undefined;
  // Known before the link is made: with a full tunnel the guard would else refuse the bridge's own gateway to it.
  const onLink = chained
    ? podAddresses(prevResult, call.ifname).map(({ subnet }) => subnet)
    : ipamSubnets(raw.ipam).map(({ prefix }) => prefix);
  const outside = [...config.servers, ...own.map(({ address }) => address)].map(hostPrefix);
  const args = call.env.CNI_ARGS;
  return {
    version: 1,
    type: "strongswan",
    phase: "adding",
    addedAt: Date.now(),
    ...keyOf(call),
    network: call.config.name,
    netns: call.netns,
    dataPlane,
    virtualSubnets: config.virtualSubnets,
    excluded: [...config.hostSubnets, ...onLink, ...outside],
    ...(chained ? {} : { delegate: bridgeConfig(raw) }),
    ...(args === undefined ? {} : { args }),
    masquerade: !chained && raw.ipMasq === true,
    virtualIPs: [],
    hostRoutes: [],
    rulePriority,
    identity: config.identity,
  };
}

/** Puts the pod's guard in place: before any link. @throws NetlinkError. */
export async function setGuard({ netns, undo }: Work, record: StrongswanAttachment): Promise<void> {
  const guard = podGuard(record);
  undo.guard.defer(() => removeGuard(guard, netns));
  await applyGuard(guard, netns);
}

/**
 * Excludes the link's own subnets from the guard: for one that only the IPAM knew (DHCP), inside a virtual subnet (a
 * full tunnel). @returns The record with them. @throws Fault 5, NetlinkError.
 */
export async function excludeLink(
  work: Work,
  record: StrongswanAttachment,
  addresses: readonly PodAddress[],
): Promise<StrongswanAttachment> {
  const complete = { ...record, excluded: [...record.excluded, ...addresses.map(({ subnet }) => subnet)] };
  const guard = podGuard(complete);
  if (JSON.stringify(guard) === JSON.stringify(podGuard(record))) return complete;
  writeAttachment(work.directory, complete);
  work.undo.guard.defer(() => removeGuard(guard, work.netns));
  await applyGuard(guard, work.netns);
  return complete;
}
