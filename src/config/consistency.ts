import type { Address } from "../net/address.ts";
import { family } from "../net/address.ts";
import { contains, overlaps, type Prefix, parsePrefix, prefixLength } from "../net/prefix.ts";
import { type Issue, pathOf } from "./issues.ts";

/** What is compared of a configuration; undefined for what could not be read, which has its own issue. */
export interface Comparable {
  readonly serverIP?: readonly Address[] | undefined;
  readonly virtualSubnet?: readonly Prefix[] | undefined;
  readonly hostSubnet?: readonly Prefix[] | undefined;
  readonly mtu?: number | undefined;
  readonly attach?: "pod" | "node" | undefined;
  readonly dataplane?: "auto" | "kernel" | "userspace" | undefined;
  /** Of the delegate, as it was read; a wrong one is for the delegate to complain about. */
  readonly ipam?: unknown;
}

/**
 * What is wrong between fields that are each right. Of two prefixes that hold an address the longer one wins, as in
 * routing: a `hostSubnet` inside a `virtualSubnet` is an exclusion, and what it holds may be a hub's or a bridge's.
 * A virtual subnet of everything (`0.0.0.0/0`) holds all that exists: hub and bridge are excluded from it by themselves.
 */
export function inconsistencies(config: Comparable): Issue[] {
  const virtual = named("vpn.virtualSubnet", config.virtualSubnet);
  const host = config.hostSubnet ?? [];
  return [
    ...overlappingVirtual(virtual),
    ...alsoHost(virtual, host),
    ...behindOwnTunnel(virtual, host, config.serverIP ?? []),
    ...bridgeInTunnel(virtual, host, ipamSubnets(config.ipam)),
    ...smallMtu(virtual, config.mtu),
    ...userSpaceOfNode(config),
  ];
}

interface Named {
  readonly path: string;
  readonly prefix: Prefix;
}

function named(path: string, prefixes: readonly Prefix[] = []): Named[] {
  return prefixes.map((prefix, index) => ({ path: prefixes.length === 1 ? path : pathOf(path, index), prefix }));
}

function overlappingVirtual(virtual: readonly Named[]): Issue[] {
  return virtual.flatMap(({ path, prefix }, index) => {
    const other = virtual.slice(0, index).find((earlier) => overlaps(earlier.prefix, prefix));
    if (other === undefined) return [];
    const what = `${path} is "${prefix}", which overlaps "${other.prefix}" (${other.path})`;
    return [{ what, remedy: "give prefixes that have no address in common" }];
  });
}

function alsoHost(virtual: readonly Named[], host: readonly Prefix[]): Issue[] {
  return virtual
    .filter(({ prefix }) => host.includes(prefix))
    .map(({ path, prefix }) => ({
      what: `${path} is "${prefix}", and so is vpn.hostSubnet`,
      remedy: "take it out of one of them: it is either inside the tunnel or outside",
    }));
}

function behindOwnTunnel(virtual: readonly Named[], host: readonly Prefix[], servers: readonly Address[]): Issue[] {
  return servers.flatMap((server, index) => {
    const holder = virtual.find(({ prefix }) => tunnels(prefix, host, (inner) => contains(inner, server)));
    if (holder === undefined) return [];
    const path = servers.length === 1 ? "vpn.serverIP" : pathOf("vpn.serverIP", index);
    return [
      {
        what: `${path} is "${server}", which is in "${holder.prefix}" (${holder.path}): the hub would be behind its own tunnel`,
        remedy: "give a virtualSubnet without the hub's address, or a hostSubnet that holds it",
      },
    ];
  });
}

function bridgeInTunnel(virtual: readonly Named[], host: readonly Prefix[], bridge: readonly Named[]): Issue[] {
  return bridge.flatMap(({ path, prefix: subnet }) => {
    const holder = virtual.find(({ prefix }) => tunnels(prefix, host, (inner) => overlaps(inner, subnet), subnet));
    if (holder === undefined) return [];
    return [
      {
        what: `${path} is "${subnet}", which overlaps "${holder.prefix}" (${holder.path}): an address would be on the bridge and in the tunnel`,
        remedy: "give the bridge a subnet of its own, outside vpn.virtualSubnet",
      },
    ];
  });
}

/**
 * Whether `virtual` takes in what `holds` asks for, and no exclusion takes it out again.
 * @param whole When given, an exclusion counts only if it holds all of this prefix.
 */
function tunnels(
  virtual: Prefix,
  host: readonly Prefix[],
  holds: (prefix: Prefix) => boolean,
  whole?: Prefix,
): boolean {
  if (prefixLength(virtual) === 0 || !holds(virtual)) return false;
  const excludes = (prefix: Prefix) => (whole === undefined ? holds(prefix) : contains(prefix, whole));
  return !host.some((prefix) => contains(virtual, prefix) && excludes(prefix));
}

/** IPv6 needs 1280 bytes on every link (RFC 8200 section 5); Linux turns IPv6 off below it. */
function smallMtu(virtual: readonly Named[], mtu: number | undefined): Issue[] {
  const holder = virtual.find(({ prefix }) => family(prefix) === 6);
  if (mtu === undefined || mtu >= 1280 || holder === undefined) return [];
  return [{ what: `vpn.mtu is ${mtu}, and ${holder.path} is IPv6`, remedy: "give at least 1280 bytes" }];
}

/** An XFRM interface of a pod is nothing but a mark on the kernel's own security associations. */
function userSpaceOfNode({ attach, dataplane }: Comparable): Issue[] {
  if (attach !== "node" || dataplane !== "userspace") return [];
  const what = 'vpn.attach is "node", and vpn.dataplane is "userspace": the node\'s charon needs the kernel\'s ESP';
  return [{ what, remedy: "set vpn.dataplane to auto or kernel, or vpn.attach to pod" }];
}

/** The subnets of host-local (`subnet`, `ranges[][].subnet`), which other IPAM plugins use as well. */
export function ipamSubnets(ipam: unknown): Named[] {
  const ranges = listIn(ipam, "ranges").flatMap((set, i) =>
    (Array.isArray(set) ? set : []).flatMap((range, j) => subnetIn(range, `ipam.ranges[${i}][${j}].subnet`)),
  );
  return [...subnetIn(ipam, "ipam.subnet"), ...ranges];
}

function subnetIn(value: unknown, path: string): Named[] {
  const text = propertyOf(value, "subnet");
  const prefix = typeof text === "string" ? parsePrefix(text) : undefined;
  return prefix === undefined ? [] : [{ path, prefix }];
}

function listIn(value: unknown, key: string): readonly unknown[] {
  const list = propertyOf(value, key);
  return Array.isArray(list) ? list : [];
}

function propertyOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
}
