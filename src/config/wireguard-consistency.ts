import { family } from "../net/address.ts";
import { contains, hostPrefix, type InterfaceAddress, type Prefix, parsePrefix, prefixLength } from "../net/prefix.ts";
import { PrefixMap } from "../net/prefix-map.ts";
import { ipamSubnets } from "./consistency.ts";
import type { Issue } from "./issues.ts";
import { type AllowedIP, allowedIPsOf, overlapping, type WantedPeer } from "./wireguard-peer.ts";

/** What is compared of a configuration; undefined or left out for what could not be read, which has its own issue. */
export interface WireguardComparable {
  readonly attach?: "node" | "pod" | undefined;
  readonly interface?: string | undefined;
  /** Name of the link in the pod. */
  readonly ifname: string;
  readonly addresses: readonly LocatedAddress[];
  readonly mtu?: number | "auto" | undefined;
  readonly table?: number | undefined;
  readonly peers: readonly WantedPeer[];
  /** Of the delegate, as they were read; a wrong one is for the delegate to complain about. */
  readonly bridge?: unknown;
  readonly ipam?: unknown;
}

/** An address of the device, and where it stands. */
export interface LocatedAddress extends InterfaceAddress {
  readonly path: string;
}

/**
 * What is wrong between fields that are each right. Of two allowed IPs the longer one wins, as in routing: a prefix of a
 * peer's inside of another's is an exception to it. Pure.
 */
export function wireguardInconsistencies(config: WireguardComparable): Issue[] {
  const allowed = allowedIPsOf(config.peers);
  // A pod's full tunnel holds all that exists, and what must be outside is excluded from it by itself.
  const parts = allowed.filter(({ prefix }) => !isEverything(prefix));
  return [
    ...takenName(config),
    ...idleTable(config),
    ...sameKeys(config.peers),
    ...sharedAllowedIPs(config.peers),
    ...everything(allowed, config.attach),
    ...unroutable(parts),
    ...behindOwnTunnel(config.peers, parts, config.attach),
    ...bridgeInTunnel(parts, config.ipam),
    ...wrongAddresses(config.addresses, allowed, config.ipam),
    ...smallMtu(config.mtu, allowed, config.addresses),
  ];
}

/** A prefix as short as this stands for everything there is: `0.0.0.0/0`, or its halves, `2000::/3`. */
const SHORTEST = 8;

function isEverything(prefix: Prefix): boolean {
  return prefixLength(prefix) < SHORTEST;
}

function takenName({ attach, interface: name, ifname, bridge }: WireguardComparable): Issue[] {
  if (name === undefined) return [];
  const remedy = "give the WireGuard device a name of its own";
  if (attach === "pod" && name === ifname) {
    return [{ what: `wireguard.interface is "${name}", and so is the link of the pod (CNI_IFNAME)`, remedy }];
  }
  if (attach === "node" && name === bridge)
    return [{ what: `wireguard.interface is "${name}", and so is bridge`, remedy }];
  return [];
}

/** Where the routes of a pod's own device are is no question: its guard wants them in a table that it knows. */
function idleTable({ attach, table }: WireguardComparable): Issue[] {
  if (attach !== "pod" || table === undefined) return [];
  const what = `wireguard.table is ${table}, and wireguard.attach is "pod"`;
  return [{ what, remedy: "take the table out: it is for the routes of the node" }];
}

function sameKeys(peers: readonly WantedPeer[]): Issue[] {
  const first = new Map<string, string>();
  return peers.flatMap(({ publicKey, place }) => {
    const other = first.get(publicKey);
    if (other === undefined) {
      first.set(publicKey, place.publicKey);
      return [];
    }
    const what = `${place.publicKey} is "${publicKey}", and so is ${other}`;
    return [{ what, remedy: "make one peer of the two: a peer is known by its key" }];
  });
}

/** To the device the prefix would belong to the last peer alone. */
function sharedAllowedIPs(peers: readonly WantedPeer[]): Issue[] {
  const first = new Map<Prefix, AllowedIP & { readonly peer: WantedPeer }>();
  return peers.flatMap((peer) =>
    allowedIPsOf([peer]).flatMap((one) => {
      const other = first.get(one.prefix);
      if (other === undefined) first.set(one.prefix, { ...one, peer });
      if (other === undefined || other.peer.publicKey === peer.publicKey) return []; // the same key is told already
      const what = `${one.path} is "${one.prefix}", and so is ${other.path}`;
      return [{ what, remedy: "give each address to one peer" }];
    }),
  );
}

/** Addresses that mean something else on every link: in a tunnel they would be missing there. */
const SPECIAL: readonly string[] = [
  ...["127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4"],
  ...["::1/128", "::ffff:0:0/96", "fe80::/10", "ff00::/8"],
];

function everything(allowed: readonly AllowedIP[], attach: WireguardComparable["attach"]): Issue[] {
  if (attach !== "node") return [];
  return allowed
    .filter(({ prefix }) => isEverything(prefix))
    .map(({ prefix, path }) => ({
      what: `${path} is "${prefix}", and wireguard.attach is "node": the node itself would be cut off`,
      remedy: "give the prefixes that are behind the peer, or attach: pod",
    }));
}

function unroutable(parts: readonly AllowedIP[]): Issue[] {
  const special = SPECIAL.flatMap((text) => {
    const prefix = parsePrefix(text);
    return prefix === undefined ? [] : [{ prefix }];
  });
  return overlapping(parts, special).map(([{ prefix, path }, other]) => ({
    what: `${path} is "${prefix}", which overlaps "${other.prefix}" (loopback, link-local, multicast or IPv4-mapped)`,
    remedy: "give prefixes of addresses that are routed",
  }));
}

/** With `attach: pod` the encrypted packets are sent from the node, which has no part in the pod's tunnel. */
function behindOwnTunnel(
  peers: readonly WantedPeer[],
  parts: readonly AllowedIP[],
  attach: WireguardComparable["attach"],
): Issue[] {
  if (attach !== "node") return [];
  const holders = new PrefixMap<AllowedIP>();
  for (const one of parts) holders.set(one.prefix, one);
  return peers.flatMap(({ endpoint, place }) => {
    if (endpoint === undefined || !("address" in endpoint)) return [];
    const holder = holders.holder(hostPrefix(endpoint.address));
    if (holder === undefined) return [];
    const what = `${place.endpoint} is "${endpoint.address}", which is in "${holder.prefix}" (${holder.value.path}): the way to the peer would be through the tunnel`;
    return [{ what, remedy: "give an endpoint outside of all allowedIPs" }];
  });
}

function bridgeInTunnel(parts: readonly AllowedIP[], ipam: unknown): Issue[] {
  return overlapping(parts, ipamSubnets(ipam)).map(([{ prefix, path }, subnet]) => ({
    what: `${path} is "${prefix}", which overlaps "${subnet.prefix}" (${subnet.path}): an address would be on this node and behind a peer`,
    remedy: "give each node a subnet of its own, and each peer the subnets of its node alone",
  }));
}

function wrongAddresses(addresses: readonly LocatedAddress[], allowed: readonly AllowedIP[], ipam: unknown): Issue[] {
  const subnets = ipamSubnets(ipam);
  const peers = new Map(allowed.map(({ prefix, path }) => [prefix, path]));
  return addresses.flatMap(({ address, path }, index) => {
    const is = `${path} is "${address}"`;
    const subnet = subnets.find(({ prefix }) => contains(prefix, address));
    const peer = peers.get(hostPrefix(address));
    const same = addresses.slice(0, index).find((earlier) => earlier.address === address);
    return [
      ...(subnet === undefined ? [] : [inSubnet(is, subnet)]),
      ...(peer === undefined
        ? []
        : [{ what: `${is}, and so is ${peer}`, remedy: "give the device an address that no peer has" }]),
      ...(same === undefined ? [] : [{ what: `${is}, and so is ${same.path}`, remedy: "take one of them out" }]),
    ];
  });
}

function inSubnet(is: string, { prefix, path }: AllowedIP): Issue {
  return {
    what: `${is}, which is in "${prefix}" (${path}): it is a pod's`,
    remedy: "give an address outside of the bridge's subnet, or none: pods keep their own in the tunnel",
  };
}

/** IPv6 needs 1280 bytes on every link (RFC 8200 section 5); Linux turns IPv6 off below it. */
function smallMtu(
  mtu: WireguardComparable["mtu"],
  allowed: readonly AllowedIP[],
  addresses: readonly LocatedAddress[],
): Issue[] {
  if (mtu === undefined || mtu === "auto" || mtu >= 1280) return [];
  const inside = [...allowed, ...addresses.map(({ address, path }) => ({ prefix: hostPrefix(address), path }))];
  const six = inside.find(({ prefix }) => family(prefix) === 6);
  if (six === undefined) return [];
  return [{ what: `wireguard.mtu is ${mtu}, and ${six.path} is IPv6`, remedy: "give at least 1280 bytes" }];
}
