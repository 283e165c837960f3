import { Code, Fault } from "../../src/fault.ts";
import type { Address } from "../../src/net/address.ts";
import { hostPrefix, prefixLength } from "../../src/net/prefix.ts";
import { ensureAddress, ensureNoAddress } from "../../src/netlink/addresses.ts";
import { getLink } from "../../src/netlink/links.ts";
import type { Netlink } from "../../src/netlink/netlink.ts";
import { ensureNoRoute, ensureRoute, PROTOCOL_PODVPN, type Route, Table } from "../../src/netlink/routes.ts";

/**
 * Puts virtual IPs on the interface that the runtime named: charon has them on its own device (user space) or here
 * already (kernel). With a route to each in the main table: the kernel needs none, but the CHECK of the bridge plugin,
 * where it stands before us in a chain, looks there for every address of the result.
 * @throws NetlinkError, or Fault 100 when the interface has gone.
 */
export async function addVirtualIPs(pod: Netlink, ifname: string, virtualIPs: readonly Address[]): Promise<void> {
  const link = await getLink(pod, ifname);
  if (link === undefined) throw new Fault(Code.delegate, `the link ${ifname} has gone during ADD`, "try again");
  for (const address of virtualIPs) {
    const length = prefixLength(hostPrefix(address));
    const flags = ["nodad", "noprefixroute"] as const;
    await ensureAddress(pod, { index: link.index, address, prefixLength: length, scope: "universe", flags });
    await ensureRoute(pod, routeTo(address, link.index));
  }
}

/** Takes them away again, where the link stays: it is another plugin's. What is gone is fine. @throws NetlinkError */
export async function removeVirtualIPs(pod: Netlink, ifname: string, virtualIPs: readonly Address[]): Promise<void> {
  const link = await getLink(pod, ifname);
  if (link === undefined) return;
  for (const address of virtualIPs) {
    await ensureNoRoute(pod, routeTo(address, link.index));
    await ensureNoAddress(pod, { index: link.index, address, prefixLength: prefixLength(hostPrefix(address)) });
  }
}

/** @throws Fault 108 when the hub has given others than at the pod's ADD. */
export function requireSameIPs(
  { virtualIPs }: { readonly virtualIPs: readonly Address[] },
  given: { readonly virtualIPs: readonly Address[] },
): void {
  if (given.virtualIPs.join() === virtualIPs.join()) return;
  throw new Fault(
    Code.checkFailed,
    `the hub has given ${given.virtualIPs.join(", ")} instead of ${virtualIPs.join(", ")}`,
    "delete the pod, so that it is added again",
  );
}

function routeTo(address: Address, oif: number): Route {
  return {
    dst: hostPrefix(address),
    type: "unicast",
    table: Table.main,
    scope: "link",
    oif,
    protocol: PROTOCOL_PODVPN,
  };
}
