import { podInterface } from "../../src/attachment/addresses.ts";
import type { Result } from "../../src/cni/result.ts";
import type { Address } from "../../src/net/address.ts";
import { hostPrefix, type Prefix } from "../../src/net/prefix.ts";

/**
 * The link's result with the virtual IPs added: first, so that runtimes take them for the pod's addresses, on the
 * interface that the runtime named, with a route for each virtual subnet. Interfaces and their indices stay. Pure.
 */
export function podResult(
  link: Result,
  ifname: string,
  tunnel: { readonly virtualIPs: readonly Address[]; readonly virtualSubnets: readonly Prefix[]; readonly mtu: number },
): Result {
  const index = podInterface(link, ifname);
  const at = index === undefined ? {} : { interface: index };
  return {
    ...link,
    ips: [...tunnel.virtualIPs.map((ip) => ({ address: hostPrefix(ip) as string, ...at })), ...link.ips],
    routes: [...link.routes, ...tunnel.virtualSubnets.map((dst) => ({ dst, mtu: tunnel.mtu }))],
  };
}
