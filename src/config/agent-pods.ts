import { family } from "../net/address.ts";
import { overlaps, type Prefix, prefixLength } from "../net/prefix.ts";
import type { Share } from "./agent-fields.ts";
import { type Issue, pathOf, shown } from "./issues.ts";

/** Where a node has its pod prefixes from. */
export type PodPrefixSource =
  /** Shares of networks, one of each family at most. */
  | { readonly from: "network"; readonly cuts: readonly [Cut, ...Cut[]] }
  /** By hand; no two overlap. */
  | { readonly from: "given"; readonly prefixes: readonly [Prefix, ...Prefix[]] }
  /** The subnets of the CNI configurations on the node. */
  | { readonly from: "cni" };

/** A network that is cut into shares of one size, one for each node. */
export interface Cut {
  readonly network: Prefix;
  /** Of a share's prefix, in bits; not shorter than the network. */
  readonly length: number;
}

/** What of the configuration tells where the pod prefixes are from. */
export interface PodPrefixKeys {
  readonly network?: readonly Prefix[] | undefined;
  readonly ipsPerNode?: readonly Share[] | undefined;
  readonly podPrefixes?: readonly Prefix[] | undefined;
}

/**
 * Where the pod prefixes are from; undefined when that cannot be told, and what is wrong goes to `issues`.
 * @param given Which of the keys stand in the configuration, right or wrong.
 */
export function podPrefixSource(
  keys: PodPrefixKeys,
  given: ReadonlySet<keyof PodPrefixKeys>,
  issues: Issue[],
): PodPrefixSource | undefined {
  if (given.has("network") && given.has("podPrefixes")) {
    issues.push({ what: "network and podPrefixes are both given", remedy: "take one of them out" });
  }
  if (given.has("ipsPerNode") && !given.has("network")) {
    issues.push({ what: "network is missing, and ipsPerNode says how it is cut", remedy: "give network as well" });
  }
  if (given.has("network")) return fromNetwork(keys.network, keys.ipsPerNode, issues);
  if (!given.has("podPrefixes")) return { from: "cni" };
  const [first, ...others] = keys.podPrefixes ?? [];
  if (first === undefined) return undefined;
  issues.push(...overlapping([first, ...others], "podPrefixes"));
  return { from: "given", prefixes: [first, ...others] };
}

/** Issues for each of `prefixes` that has addresses in common with an earlier one. @param path The list's field. */
export function overlapping(prefixes: readonly Prefix[], path: string): Issue[] {
  return prefixes.flatMap((prefix, index) => {
    const earlier = prefixes.slice(0, index).find((other) => overlaps(other, prefix));
    if (earlier === undefined) return [];
    const what = `${pathOf(path, index)} is "${prefix}", which overlaps "${earlier}"`;
    return [{ what, remedy: "give prefixes that have no address in common" }];
  });
}

function fromNetwork(
  networks: readonly Prefix[] | undefined,
  shares: readonly Share[] | undefined,
  issues: Issue[],
): PodPrefixSource | undefined {
  if (networks === undefined) return undefined;
  for (const [index, network] of networks.entries()) {
    const earlier = networks.slice(0, index).find((other) => family(other) === family(network));
    if (earlier === undefined) continue;
    const what = `${pathOf("network", index)} is "${network}", and "${earlier}" is of the same family`;
    issues.push({ what, remedy: "give one IPv4 and one IPv6 network at most" });
  }
  if (shares !== undefined && shares.length > 1 && shares.length !== networks.length) {
    const what = `ipsPerNode has ${shares.length} values, and network ${networks.length}`;
    issues.push({ what, remedy: "give one value for all networks, or one for each, in their order" });
    return undefined;
  }
  const [first, ...others] = networks.flatMap((network, index) => {
    const isOne = shares === undefined || shares.length === 1;
    const cut = cutOf(network, shares?.[isOne ? 0 : index], isOne ? "ipsPerNode" : pathOf("ipsPerNode", index));
    if ("length" in cut) return [cut];
    issues.push(cut);
    return [];
  });
  return first === undefined ? undefined : { from: "network", cuts: [first, ...others] };
}

function cutOf(network: Prefix, share: Share | undefined, path: string): Cut | Issue {
  const bits = family(network) === 4 ? 32 : 128;
  const length = lengthOf(share, bits);
  const most = bits - 2; // four addresses: the network's, the node's, a pod's and IPv4's broadcast
  if (length >= prefixLength(network) && length <= most) return { network, length };
  const given = share === undefined ? `${path} is missing` : `${path} is ${shareText(share)}`;
  const remedy = `give a share of "${network}", from "/${prefixLength(network)}" to "/${most}"`;
  return { what: `${given}, which is no share of "${network}"`, remedy };
}

function lengthOf(share: Share | undefined, bits: 32 | 128): number {
  if (share === undefined) return bits === 32 ? 24 : 64;
  return "length" in share ? share.length : bits - share.hostBits;
}

function shareText(share: Share): string {
  return "length" in share ? shown(`/${share.length}`) : `${2n ** BigInt(share.hostBits)}`;
}
