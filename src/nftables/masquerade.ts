import type { Address } from "../net/address.ts";
import { family } from "../net/address.ts";
import { hostPrefix, type Prefix } from "../net/prefix.ts";
import { type Rule, type Table, type TableKey, tableName } from "./table.ts";

/** What of a pod the bridge plugin's own `ipMasq` would masquerade. */
export interface MasqueradeRequest {
  readonly containerID: string;
  readonly ifname: string;
  /** The pod's addresses on the bridge, with the subnets that reach it unchanged. */
  readonly addresses: readonly { readonly address: Address; readonly subnet: Prefix }[];
}

/** RFC 5771, RFC 4291. */
const MULTICAST = { 4: "224.0.0.0/4" as Prefix, 6: "ff00::/8" as Prefix } as const;

/** Priority "srcnat", where iptables' POSTROUTING of the nat table is. */
const SRCNAT = 100;

/**
 * One table a pod, doing what the bridge plugin's `ipMasq` does: the node's address as source for what leaves the
 * pod's subnet, multicast excepted. Ours and not the bridge's, because that one forgets its rules when DEL comes after
 * the namespace has gone, shares a chain between two interfaces of a container, and costs 20 ms of iptables a pod
 * (docs/ARCHITECTURE.md). Pure.
 */
export function masqueradeTables(request: MasqueradeRequest): Table[] {
  const families = [...new Set(request.addresses.map(({ address }) => family(address)))];
  return families.map((version): Table => {
    const rules = request.addresses
      .filter(({ address }) => family(address) === version)
      .map(
        ({ address, subnet }): Rule => ({
          matches: [
            { address: "saddr", in: hostPrefix(address) },
            { address: "daddr", notIn: [subnet, MULTICAST[version]] },
          ],
          action: "masquerade",
        }),
      );
    return {
      family: version === 4 ? "ip" : "ip6",
      name: masqueradeName(request),
      chains: [{ name: "postrouting", type: "nat", hook: "postrouting", priority: SRCNAT, rules }],
    };
  });
}

/** Every table that {@link masqueradeTables} can have made for an attachment: DEL needs no address to remove them. */
export function masqueradeTableKeys(attachment: Pick<MasqueradeRequest, "containerID" | "ifname">): TableKey[] {
  const name = masqueradeName(attachment);
  return [
    { family: "ip", name },
    { family: "ip6", name },
  ];
}

function masqueradeName({ containerID, ifname }: Pick<MasqueradeRequest, "containerID" | "ifname">): string {
  return tableName("masq", containerID, ifname);
}
