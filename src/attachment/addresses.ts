import type { Result } from "../cni/result.ts";
import { Code, Fault } from "../fault.ts";
import type { Address } from "../net/address.ts";
import { interfaceAddress, type Prefix, prefixOf } from "../net/prefix.ts";

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

/** Index of the pod's interface in `interfaces`; undefined where a result names none. */
export function podInterface(result: Result, ifname: string): number | undefined {
  const index = result.interfaces.findIndex(({ name, sandbox }) => name === ifname && sandbox !== undefined);
  return index < 0 ? undefined : index;
}
