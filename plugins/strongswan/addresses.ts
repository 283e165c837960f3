import type { Result } from "../../src/cni/result.ts";
import { Code, Fault } from "../../src/fault.ts";
import type { Address } from "../../src/net/address.ts";
import { hostPrefix, interfaceAddress, type Prefix, prefixOf } from "../../src/net/prefix.ts";

/** An address that the link gave the pod. */
export interface PodAddress {
  readonly address: Address;
  /** The on-link prefix. */
  readonly subnet: Prefix;
}

/**
 * The addresses of the pod's interface in a link's result. An address without an `interface` is the pod's too: results
 * before 0.3.0 have none. @throws Fault 100 for an address that cannot be read.
 */
export function podAddresses(result: Result, ifname: string): PodAddress[] {
  const index = podInterface(result, ifname);
  return result.ips
    .filter((ip) => ip.interface === undefined || index === undefined || ip.interface === index)
    .map(({ address: text }) => {
      const parsed = interfaceAddress(text);
      if (parsed === undefined) {
        throw new Fault(
          Code.delegate,
          `the link's result has the address "${text}"`,
          "correct the plugin that made it",
        );
      }
      return { address: parsed.address, subnet: prefixOf(parsed.address, parsed.prefixLength) };
    });
}

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

function podInterface(result: Result, ifname: string): number | undefined {
  const index = result.interfaces.findIndex(({ name, sandbox }) => name === ifname && sandbox !== undefined);
  return index < 0 ? undefined : index;
}
