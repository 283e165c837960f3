import { type Address, family } from "../net/address.ts";
import { contains, type Prefix, parsePrefix } from "../net/prefix.ts";
import { type LinkAddress, listAddresses } from "../netlink/addresses.ts";
import { Group } from "../netlink/events.ts";
import { type Link, listLinks } from "../netlink/links.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { listRoutes, type Route, Table } from "../netlink/routes.ts";

/** What of a node its underlay addresses follow from. */
export interface UnderlayFacts {
  readonly links: readonly Link[];
  readonly addresses: readonly LinkAddress[];
  readonly routes: readonly Route[];
}

/** @throws NetlinkError */
export async function readUnderlayFacts(nl: Netlink): Promise<UnderlayFacts> {
  const [links, addresses, routes] = await Promise.all([listLinks(nl), listAddresses(nl), listRoutes(nl, {})]);
  return { links, addresses, routes };
}

/**
 * Calls `onChange` after each change by others that may make the addresses others, until disposed of. The agent's own
 * are of the mesh: each route to a peer would have everything read again. @throws NetlinkError
 */
export function followUnderlay(nl: Netlink, onChange: () => void): Disposable {
  const groups = [Group.link, Group.ipv4Address, Group.ipv6Address, Group.ipv4Route, Group.ipv6Route];
  return nl.subscribe(groups, onChange, { othersOnly: true });
}

/**
 * The addresses at which others reach this node: those of the interface with the default route, IPv4 first; of each
 * family its own default route's interface, or the other's. Pure.
 * @param mesh What goes through tunnels: none of it carries them.
 */
export function underlayAddresses(facts: UnderlayFacts, mesh: readonly Prefix[]): Address[] {
  const [uplink4, uplink6] = [uplink(facts, "0.0.0.0/0"), uplink(facts, "::/0")];
  return ([4, 6] as const).flatMap((version) => {
    const index = version === 4 ? (uplink4 ?? uplink6) : (uplink6 ?? uplink4);
    const there = facts.addresses.filter((one) => one.index === index && family(one.address) === version);
    const usable = there.filter((one) => isOwn(one) && !mesh.some((prefix) => contains(prefix, one.address)));
    // Addresses that move from node to node stand beside the node's own, as hosts without a network.
    const bits = version === 4 ? 32 : 128;
    const withNetwork = usable.filter(({ prefixLength }) => prefixLength < bits);
    return (withNetwork.length > 0 ? withNetwork : usable).map(({ address }) => address);
  });
}

/** Whether everybody in the internet can reach this address, as far as the address tells (RFC 6890). Pure. */
export function isPublic(address: Address): boolean {
  return !SPECIAL.some((prefix) => contains(prefix, address));
}

/** Index of the interface that a family's best default route leads to. A bridge only where there is nothing else. */
function uplink({ links, routes }: UnderlayFacts, destination: string): number | undefined {
  const byIndex = new Map(links.map((link) => [link.index, link]));
  const rank = (route: Route) => {
    const kind = byIndex.get(route.oif ?? -1)?.kind;
    return kind === "bridge" ? 1 : 0;
  };
  const [best] = routes
    .filter(({ dst, table, type }) => dst === destination && table === Table.main && type === "unicast")
    .filter(({ oif }) => !TUNNELS.has(byIndex.get(oif ?? -1)?.kind ?? ""))
    .toSorted((one, other) => rank(one) - rank(other) || (one.metric ?? 0) - (other.metric ?? 0));
  return best?.oif;
}

/** Kinds of links (rtnl_link_ops) that are tunnels, or nobody's way out. */
const TUNNELS: ReadonlySet<string> = new Set([
  ...["wireguard", "tun", "xfrm", "vti", "vti6", "ipip", "sit", "ip6tnl", "gre", "gretap", "ip6gre", "vxlan", "geneve"],
  ...["dummy", "ifb", "nlmon"],
]);

/** Not an IPv4 alias or a temporary IPv6 address (secondary), nor one that is not usable yet, or soon not any more. */
function isOwn({ scope, flags }: LinkAddress): boolean {
  const unfit = ["secondary", "tentative", "dadfailed", "deprecated"] as const;
  return scope === "universe" && !unfit.some((flag) => flags.includes(flag));
}

const SPECIAL: readonly Prefix[] = [
  ...["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"],
  ...["192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"],
  ...[
    "::/8",
    "64:ff9b:1::/48",
    "100::/64",
    "2001:db8::/32",
    "3fff::/20",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
  ],
].map((text) => parsePrefix(text) ?? prefixMissing(text));

function prefixMissing(text: string): never {
  throw new TypeError(`${text} is no prefix`);
}
