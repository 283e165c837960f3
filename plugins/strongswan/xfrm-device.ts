import type { SharedTunnel, StrongswanAttachment } from "../../src/attachment/record.ts";
import { Code, Fault } from "../../src/fault.ts";
import { tunnelRoute } from "../../src/guard/tunnel-route.ts";
import { removeTunnelRule, tunnelRule } from "../../src/guard/tunnel-rule.ts";
import { TUNNEL_TABLE } from "../../src/ipsec/strongswan-conf.ts";
import { family } from "../../src/net/address.ts";
import { hostPrefix, type Prefix, prefixLength } from "../../src/net/prefix.ts";
import { ensureAddress, type LinkAddress, listAddresses } from "../../src/netlink/addresses.ts";
import { deleteLink, getLink, type Link, listLinks, moveLink, setLink } from "../../src/netlink/links.ts";
import type { Netlink } from "../../src/netlink/netlink.ts";
import { ensureRoute, isRoute, listRoutes, type Route } from "../../src/netlink/routes.ts";
import { ensureRule, listRules, type Rule } from "../../src/netlink/rules.ts";
import { nameOnNode } from "../../src/node/charon/if-id.ts";
import type { Netns } from "../../src/os/namespace.ts";

/** What of a pod's record its XFRM interface is made by. */
export type XfrmDevice = Pick<StrongswanAttachment, "virtualSubnets" | "virtualIPs" | "rulePriority"> & {
  readonly shared: SharedTunnel;
};

/** The first free of `ipsec0`, `ipsec1`, …: as charon names its own where ESP is done in user space. @throws NetlinkError. */
export async function freeDeviceName(pod: Netlink): Promise<string> {
  const taken = new Set((await listLinks(pod)).map(({ name }) => name));
  for (let number = 0; ; number += 1) if (!taken.has(`ipsec${number}`)) return `ipsec${number}`;
}

/** Moves the interface from the node, where it was made, into the pod. @throws NetlinkError, Fault 102 when it has gone. */
export async function moveDevice(node: Netlink, netns: Netns, { ifId, device }: SharedTunnel): Promise<void> {
  const link = await getLink(node, nameOnNode(ifId));
  if (link === undefined) throw gone(nameOnNode(ifId));
  await moveLink(node, link.index, { netns, name: device });
}

/** The interface up in the pod, with its virtual IPs and the routes to the virtual subnets. Idempotent. @throws NetlinkError, Fault 102. */
export async function setUpDevice(pod: Netlink, of: XfrmDevice): Promise<void> {
  const { device, mtu } = of.shared;
  const link = await getLink(pod, device);
  if (link === undefined) throw gone(device);
  await setLink(pod, link.index, { mtu, up: true });
  for (const address of deviceAddresses(of, link.index)) await ensureAddress(pod, address);
  for (const route of deviceRoutes(of, link.index)) await ensureRoute(pod, route);
  for (const rule of deviceRules(of)) await ensureRule(pod, rule);
}

/** Removes the interface from the pod, and the rule to its routes; the routes go with it. What is gone is fine. @throws NetlinkError. */
export async function removeDevice(pod: Netlink, of: Pick<XfrmDevice, "rulePriority" | "shared">): Promise<void> {
  const { device, ifId } = of.shared;
  // Where the name in the pod was taken, the kernel has moved it under the one that it had.
  for (const name of [device, nameOnNode(ifId)]) {
    const link = await getLink(pod, name);
    if (link?.ifId === ifId) await deleteLink(pod, link.index);
  }
  await removeTunnelRule(pod, of.rulePriority);
}

/** What of the interface in the pod is not as ADD made it, in words. @throws NetlinkError. */
export async function missingOfDevice(pod: Netlink, of: XfrmDevice): Promise<string[]> {
  const { device, mtu, ifId } = of.shared;
  const link = await getLink(pod, device);
  if (link?.ifId !== ifId) return [`XFRM interface ${device}`];
  const [addresses, routes, rules] = await Promise.all([
    listAddresses(pod, link.index),
    listRoutes(pod, { table: TUNNEL_TABLE }),
    listRules(pod),
  ]);
  return [
    ...missingSettings(link, mtu),
    ...deviceAddresses(of, link.index)
      .filter((wanted) => !addresses.some(({ address }) => address === wanted.address))
      .map(({ address }) => `${address} on ${device}`),
    ...deviceRoutes(of, link.index)
      .filter((wanted) => !routes.some((route) => isRoute(route, wanted)))
      .map(({ dst }) => `route to ${dst} by ${device}`),
    ...deviceRules(of)
      .filter((wanted) => !rules.some(({ priority, table }) => priority === wanted.priority && table === wanted.table))
      .map(({ table, family: version }) => `routing rule to table ${table} (IPv${version})`),
  ];
}

function missingSettings({ up, mtu, name }: Link, wanted: number): string[] {
  return [...(up ? [] : [`${name} being up`]), ...(mtu === wanted ? [] : [`MTU ${wanted} of ${name} (it is ${mtu})`])];
}

function deviceAddresses({ virtualIPs }: XfrmDevice, index: number): LinkAddress[] {
  return virtualIPs.map((address) => ({
    index,
    address,
    prefixLength: prefixLength(hostPrefix(address)),
    scope: "universe",
    flags: ["nodad", "noprefixroute"],
  }));
}

/** To each virtual subnet from the virtual IP of its family. */
function deviceRoutes({ virtualSubnets, virtualIPs }: XfrmDevice, oif: number): Route[] {
  const sourceFor = (dst: Prefix) => virtualIPs.find((address) => family(address) === family(dst));
  return virtualSubnets.map((dst) => tunnelRoute(dst, oif, sourceFor(dst)));
}

function deviceRules({ rulePriority, virtualSubnets }: XfrmDevice): Rule[] {
  return [...new Set(virtualSubnets.map(family))].map((version) => tunnelRule(version, rulePriority));
}

function gone(name: string): Fault {
  return new Fault(Code.kernel, `the XFRM interface ${name} has gone during ADD`, "try again");
}
