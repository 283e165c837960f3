import type { PodAddress } from "../../src/attachment/addresses.ts";
import { ensureNodeRoutes } from "../../src/attachment/node.ts";
import { type HostRoute, type StrongswanAttachment, writeAttachment } from "../../src/attachment/record.ts";
import type { Result } from "../../src/cni/result.ts";
import { type Address, family } from "../../src/net/address.ts";
import { hostPrefix } from "../../src/net/prefix.ts";
import { getLink } from "../../src/netlink/links.ts";
import type { Netlink } from "../../src/netlink/netlink.ts";
import { lookupRoute } from "../../src/netlink/routes.ts";
import { trace } from "../../src/os/trace.ts";
import { podResult } from "./result.ts";
import { addVirtualIPs, removeVirtualIPs } from "./virtual-ips.ts";
import type { Work } from "./work.ts";

/** An attachment with its link and its tunnel up. */
export interface Attached {
  readonly record: StrongswanAttachment;
  readonly link: Result;
  readonly addresses: readonly PodAddress[];
  readonly virtualIPs: readonly Address[];
  /** Of the tunnel, in bytes. */
  readonly mtu: number;
}

/** The end of every ADD: virtual IPs on the pod's interface, the node's routes to them, the result. @throws Fault 5, NetlinkError. */
export async function complete(work: Work, { link, addresses, virtualIPs, mtu, ...made }: Attached): Promise<Result> {
  const { call, config, directory, node, pod, undo } = work;
  const hostRoutes = await planHostRoutes(node, virtualIPs, addresses);
  const record = { ...made.record, linkResult: link, virtualIPs, hostRoutes };
  writeAttachment(directory, record);
  undo.link.defer(() => removeVirtualIPs(pod, call.ifname, virtualIPs));
  await addVirtualIPs(pod, call.ifname, virtualIPs);
  await ensureNodeRoutes(node, record);
  writeAttachment(directory, { ...record, phase: "ready" });
  trace("addresses and routes set");
  return podResult(link, call.ifname, { virtualIPs, virtualSubnets: config.virtualSubnets, mtu });
}

/** The way from the node to its pod's virtual IPs: by the pod's address on the link, through the device that has it. */
async function planHostRoutes(
  node: Netlink,
  virtualIPs: readonly Address[],
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
