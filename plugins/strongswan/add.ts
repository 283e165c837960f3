import type { Vici } from "vici";
import { type PodAddress, podAddresses } from "../../src/attachment/addresses.ts";
import { bridgeConfig, ensureBridge } from "../../src/attachment/bridge.ts";
import { requireFree } from "../../src/attachment/free.ts";
import { podGuard } from "../../src/attachment/guard.ts";
import { makeLink, requireLink } from "../../src/attachment/link.ts";
import { ensureNodeRoutes, removeStaleRoutes } from "../../src/attachment/node.ts";
import {
  attachmentDirectory,
  attachmentsOf,
  type HostRoute,
  isStrongswan,
  LOCK_WAIT,
  type StrongswanAttachment,
  writeAttachment,
} from "../../src/attachment/record.ts";
import type { AddCall } from "../../src/cni/dispatch.ts";
import type { Result } from "../../src/cni/result.ts";
import { ipamSubnets } from "../../src/config/consistency.ts";
import type { StrongswanConfig } from "../../src/config/strongswan.ts";
import { chooseDataPlane } from "../../src/dataplane/choose.ts";
import { Code, Fault } from "../../src/fault.ts";
import { applyGuard, removeGuard } from "../../src/guard/apply.ts";
import { freeRulePriority, removeTunnelRule } from "../../src/guard/tunnel-rule.ts";
import { startCharon } from "../../src/ipsec/charon.ts";
import { connectPod, loadPsk } from "../../src/ipsec/pod-tunnel.ts";
import { POD_SETTINGS } from "../../src/ipsec/strongswan-conf.ts";
import { family } from "../../src/net/address.ts";
import { hostPrefix } from "../../src/net/prefix.ts";
import { listAddresses } from "../../src/netlink/addresses.ts";
import { getLink } from "../../src/netlink/links.ts";
import type { Netlink } from "../../src/netlink/netlink.ts";
import { openRoute } from "../../src/netlink/open.ts";
import { lookupRoute } from "../../src/netlink/routes.ts";
import { removeTree } from "../../src/os/file.ts";
import { type Lock, lockDirectory } from "../../src/os/lock.ts";
import { inNetns, type Netns, openNetns } from "../../src/os/namespace.ts";
import { trace } from "../../src/os/trace.ts";
import { together } from "../../src/together.ts";
import { tunnelMtu } from "./mtu.ts";
import { removeAttachment, stopTunnel } from "./remove.ts";
import { podResult } from "./result.ts";
import { addVirtualIPs, removeVirtualIPs } from "./virtual-ips.ts";

/** Milliseconds for charon to answer: it takes 10, and half a second when a hundred start at once. */
const CHARON_START = 10_000;

/** `lo` is the first link of every network namespace. */
const LOOPBACK_INDEX = 1;

/** What all steps of one ADD share. */
interface Work {
  readonly call: AddCall;
  readonly config: StrongswanConfig;
  readonly directory: string;
  readonly netns: Netns;
  readonly lock: Lock;
  /** rtnetlink of the node. */
  readonly node: Netlink;
  /** rtnetlink of the pod. */
  readonly pod: Netlink;
  readonly undo: Undo;
}

/**
 * What a failure takes back, whatever was made first: the tunnel while the link still carries the word to the hub, then
 * the link, and the guard when there is no link left that could carry plain text.
 */
interface Undo {
  readonly tunnel: AsyncDisposableStack;
  readonly link: AsyncDisposableStack;
  readonly guard: AsyncDisposableStack;
}

/**
 * ADD: a pod on the bridge, a charon in its namespace, a virtual IP from the hub. Returns when the tunnel carries
 * traffic. What fails takes back all that was made, in reverse.
 * @throws Fault; README's troubleshooting has the table.
 */
export async function add(call: AddCall, config: StrongswanConfig): Promise<Result> {
  const directory = attachmentDirectory(call);
  using netns = openNetns(call.netns);
  using lock = await lockDirectory(directory, { create: true, wait: LOCK_WAIT });
  if (lock === undefined) throw new Fault(Code.internal, `${directory} was not made`, "report this");
  trace("namespace open, lock held");
  using node = openRoute();
  using pod = inNetns(netns, openRoute);
  await requireFree(call, directory, isStrongswan, (record) => clear(call, directory, record, lock));
  await using undo = new AsyncDisposableStack();
  undo.defer(() => removeStaleRoutes(node)); // after the record is gone: it tells which routes are stale
  undo.defer(() => removeTree(directory));
  await requireLink("strongswan", call.ifname, call.config.prevResult !== undefined, pod);
  requireOwnSubnets(call, config);
  trace("ready to add");
  const result = await attach({ call, config, directory, netns, lock, node, pod, undo: stages(undo) });
  undo.move();
  return result;
}

/** The last comes first. */
function stages(undo: AsyncDisposableStack): Undo {
  const guard = undo.use(new AsyncDisposableStack());
  const link = undo.use(new AsyncDisposableStack());
  return { guard, link, tunnel: undo.use(new AsyncDisposableStack()) };
}

async function attach(work: Work): Promise<Result> {
  const { call, config, directory, netns, node, pod, undo } = work;
  const dataPlane = await chooseDataPlane(config.dataplane, netns);
  trace("data plane chosen");
  const [first, mtu] = await Promise.all([firstRecord(work, dataPlane), tunnelMtu(config, dataPlane, node)]);
  let record = first;
  writeAttachment(directory, record);
  // The guard before any link: a program in the pod may send as soon as there is one.
  const bridge = record.delegate === undefined ? Promise.resolve() : ensureBridge(node, record.delegate);
  await together(setGuard(work, record), bridge);
  trace("record written, guard set, bridge there");

  // Side by side: the bridge spends its time waiting for the kernel, and charon needs no address to start.
  const [link, vici] = await together(
    makeLink(
      { call, ...keyOf(call), args: record.args, lockFd: work.lock.fd },
      record,
      call.config.prevResult,
      undo.link,
    ),
    prepareTunnel(work, record, mtu),
  );
  undo.tunnel.defer(() => vici.close());
  trace("link and charon ready");
  const addresses = podAddresses(link, call.ifname);
  record = await excludeLink(work, record, addresses);

  const { psk, serverID, servers, proposals, espProposals } = config;
  const tunnel = await connectPod(
    vici,
    {
      servers,
      psk,
      identity: record.identity,
      virtualSubnets: config.virtualSubnets,
      proposals,
      espProposals,
      dpdDelay: config.dpd,
      encap: dataPlane === "userspace",
      ...(serverID === undefined ? {} : { serverID }),
    },
    config.timeout,
  );
  trace("tunnel up");

  const hostRoutes = await planHostRoutes(node, tunnel.virtualIPs, addresses);
  record = { ...record, linkResult: link, virtualIPs: tunnel.virtualIPs, hostRoutes };
  writeAttachment(directory, record);
  undo.link.defer(() => removeVirtualIPs(pod, call.ifname, tunnel.virtualIPs));
  await addVirtualIPs(pod, call.ifname, tunnel.virtualIPs);
  await ensureNodeRoutes(node, record);
  writeAttachment(directory, { ...record, phase: "ready" });
  trace("addresses and routes set");
  vici.close();
  return podResult(link, call.ifname, { virtualIPs: tunnel.virtualIPs, virtualSubnets: config.virtualSubnets, mtu });
}

/** Clears away what a killed ADD left, in the same, locked directory. */
function clear(call: AddCall, directory: string, record: StrongswanAttachment, lock: Lock): Promise<void> {
  return removeAttachment({
    call,
    ...keyOf(call),
    directory,
    record,
    bridge: undefined,
    masquerade: false,
    netns: call.netns,
    args: undefined,
    lockFd: lock.fd,
    keepDirectory: true,
  });
}

/**
 * Two tunnels for one prefix would take its route and its guard from each other. Of two that overlap the longer one
 * wins, as among all routes. @throws Fault 7.
 */
function requireOwnSubnets({ containerID, ifname }: AddCall, { virtualSubnets }: StrongswanConfig): void {
  for (const other of attachmentsOf(containerID)) {
    const tunnelled = isStrongswan(other) ? other.virtualSubnets : other.meshPrefixes;
    const shared = virtualSubnets.find((subnet) => tunnelled.includes(subnet));
    if (shared === undefined || other.ifname === ifname) continue;
    throw new Fault(
      Code.invalidConfig,
      `vpn.virtualSubnet is "${shared}", and so is that of the container's ${other.ifname} (network ${other.network})`,
      "give each network of a container a virtual subnet of its own",
    );
  }
}

async function firstRecord(work: Work, dataPlane: StrongswanAttachment["dataPlane"]): Promise<StrongswanAttachment> {
  const { call, config, node, pod } = work;
  const [addresses, rulePriority] = await Promise.all([listAddresses(node), freeRulePriority(pod)]);
  // Those of lo stay out: there a hub on this very node keeps its address of the virtual subnet.
  const own = addresses.filter(({ index }) => index !== LOOPBACK_INDEX);
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

async function setGuard({ netns, undo }: Work, record: StrongswanAttachment): Promise<void> {
  const guard = podGuard(record);
  undo.guard.defer(() => removeGuard(guard, netns));
  await applyGuard(guard, netns);
}

/** A charon that can be told to connect. */
async function prepareTunnel(work: Work, record: StrongswanAttachment, mtu: number): Promise<Vici> {
  const { config, directory, netns, lock, pod, undo } = work;
  undo.tunnel.defer(() => removeTunnelRule(pod, record.rulePriority));
  undo.tunnel.defer(() => stopTunnel(directory));
  const vici = await startCharon({
    directory,
    netns,
    dataPlane: record.dataPlane,
    logLevel: config.logLevel === "debug" ? 2 : 1,
    routeMtu: mtu,
    settings: { ...POD_SETTINGS, routing_table_prio: record.rulePriority },
    lockFd: lock.fd,
    timeout: CHARON_START,
  });
  trace("charon started");
  await loadPsk(vici, config.psk);
  trace("PSK loaded");
  return vici;
}

/** For a subnet that only the IPAM knew (DHCP), inside a virtual subnet (a full tunnel). */
async function excludeLink(
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

/** The way from the node to its pod's virtual IPs: by the pod's address on the link, through the device that has it. */
async function planHostRoutes(
  node: Netlink,
  virtualIPs: StrongswanAttachment["virtualIPs"],
  addresses: readonly PodAddress[],
): Promise<HostRoute[]> {
  const routes: HostRoute[] = [];
  for (const ip of virtualIPs) {
    const same = addresses.find(({ address }) => family(address) === family(ip));
    const via = same ?? addresses[0];
    const found = via === undefined ? undefined : await lookupRoute(node, via.address);
    if (via === undefined || found?.oif === undefined || found.gateway !== undefined) continue; // not on a link of ours
    const link = await getLink(node, found.oif);
    if (link === undefined) continue;
    routes.push({ dst: hostPrefix(ip), dev: link.name, ...(same === undefined ? {} : { via: same.address }) });
  }
  return routes;
}

function keyOf({ containerID, ifname }: AddCall): { containerID: string; ifname: string } {
  return { containerID, ifname };
}
