import type { Address } from "../net/address.ts";
import { contains, overlaps, type Prefix, prefixLength } from "../net/prefix.ts";
import { subnetFields } from "./hub-fields.ts";
import { parseItem } from "./hub-item.ts";
import { type HubSubnet, hubSubnet, IPV6_POOL } from "./hub-pool.ts";
import { type Issue, pathOf } from "./issues.ts";

/** Reads `virtualSubnets`; what is wrong goes to `issues`. @param listen The hub's addresses, outside of them all. */
export function hubSubnets(items: readonly unknown[], listen: readonly Address[], issues: Issue[]): HubSubnet[] {
  const subnets: HubSubnet[] = [];
  for (const [index, item] of items.entries()) {
    const path = pathOf("virtualSubnets", index);
    const parsed = parseItem(subnetFields(), typeof item === "string" ? { subnet: item } : item, path);
    issues.push(...parsed.issues);
    if (!parsed.complete) continue;
    const { subnet, pool } = parsed.values;
    const served = withPool(subnet, pool, path);
    if ("remedy" in served) issues.push(served);
    else subnets.push(served);
    const earlier = subnets.find((other) => other !== served && overlaps(other.subnet, subnet));
    if (earlier !== undefined) {
      const what = `${path} is "${subnet}", which overlaps "${earlier.subnet}"`;
      issues.push({ what, remedy: "give prefixes that have no address in common" });
    }
    const inside = listen.find((address) => contains(subnet, address));
    if (inside !== undefined) {
      const what = `${path} is "${subnet}", which holds the address "${inside}" of listen`;
      issues.push({ what, remedy: "give a subnet of addresses that nobody else has: the hub is outside of it" });
    }
  }
  return subnets;
}

function withPool(subnet: Prefix, pool: Prefix | undefined, path: string): HubSubnet | Issue {
  const at = `${pathOf(path, "pool")} is "${pool}"`;
  if (pool !== undefined && !contains(subnet, pool)) {
    return { what: `${at}, which is not in "${subnet}"`, remedy: "give a part of the subnet" };
  }
  if (pool?.includes(":") && prefixLength(pool) < IPV6_POOL) {
    return { what: at, remedy: `give an IPv6 pool of at least ${IPV6_POOL} bits: 65536 addresses` };
  }
  const served = hubSubnet(subnet, pool);
  if (served !== undefined) return served;
  const what = pool === undefined ? `${path} is "${subnet}"` : at;
  return { what, remedy: "give more addresses: the network, the broadcast and the hub's own address are not for pods" };
}
