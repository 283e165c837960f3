import type { Family } from "../net/address.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { refusesAlways } from "../nftables/compare.ts";
import { type BaseChain, readBaseChains, readRules } from "../nftables/read.ts";
import { readText } from "../os/file.ts";
import { inNetns, type Netns } from "../os/namespace.ts";

/** The chain FORWARD of one of iptables' tables `filter`. */
export type IptablesChain =
  | { readonly backend: "nft"; readonly family: Family; readonly chain: BaseChain }
  /** Only its own program can tell more of it. */
  | { readonly backend: "legacy"; readonly family: Family };

/** The chains that see forwarded packets and may drop them. To accept a packet in one says nothing in another. */
export interface ForwardChains {
  readonly iptables: readonly IptablesChain[];
  /** Of nft(8), firewalld and others. */
  readonly others: readonly BaseChain[];
}

/**
 * The filter chains at hook "forward": one listing of nf_tables and two short files. No iptables program runs, and no
 * table is made by looking for it. @throws NetlinkError, Fault 5.
 */
export async function forwardChains(nl: Netlink, netns: Netns | undefined): Promise<ForwardChains> {
  const chains = (await readBaseChains(nl)).filter(({ type, hook }) => type === "filter" && hook === "forward");
  const nft = chains
    .filter(isIptables)
    .map((chain) => ({ backend: "nft", family: chain.table.family === "ip" ? 4 : 6, chain }) as const);
  const legacy = legacyFamilies(netns).map((family) => ({ backend: "legacy", family }) as const);
  return { iptables: [...nft, ...legacy], others: chains.filter((chain) => !isIptables(chain)) };
}

/**
 * Whether a chain drops or rejects every packet that no rule of its own accepts: by its policy, or by a rule for
 * everything, as firewalld does. @throws NetlinkError.
 */
export async function refuses(nl: Netlink, chain: BaseChain): Promise<boolean> {
  if (chain.policy === "drop") return true;
  return (await readRules(nl, chain.table, chain.name)).some(({ expressions }) => refusesAlways(expressions));
}

/** As iptables-nft makes it; one of the same name with another priority it cannot read. */
function isIptables({ table, name, priority }: BaseChain): boolean {
  return table.family !== "inet" && table.name === "filter" && name === "FORWARD" && priority === 0;
}

/** Those for which iptables-legacy has a table `filter` in the kernel. */
function legacyFamilies(netns: Netns | undefined): Family[] {
  const read = () => ([4, 6] as const).filter((family) => readText(TABLES[family])?.split("\n").includes("filter"));
  return netns === undefined ? read() : inNetns(netns, read);
}

/** Of the calling thread; absent where the kernel has no x_tables. */
const TABLES = {
  4: "/proc/thread-self/net/ip_tables_names",
  6: "/proc/thread-self/net/ip6_tables_names",
} as const;
