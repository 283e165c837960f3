import type { PodPrefixSource } from "../config/agent-pods.ts";
import { Code, Fault } from "../fault.ts";
import type { Prefix } from "../net/prefix.ts";
import { nextSince, sharesOf } from "../registry/allocate.ts";
import type { NodeRecord } from "../registry/node-record.ts";
import type { RegistryState } from "../registry/registry.ts";

/** The prefixes of this node's pods, and when they were taken. */
export interface OwnPrefixes {
  readonly podPrefixes: readonly Prefix[];
  /** With shares of a network alone; see {@link NodeRecord.since}. */
  readonly since?: number;
}

/** What they follow from. */
export interface PrefixFacts {
  readonly name: string;
  readonly source: PodPrefixSource;
  readonly state: RegistryState;
  /** This node's record as it was published last, by this agent or the one before. */
  readonly published: NodeRecord | undefined;
  /** What this agent itself published last: the registry may not tell of it yet, or count an older one. */
  readonly last?: NodeRecord | undefined;
  /** The subnets of the node's network configurations, with source "cni". */
  readonly cni: readonly Prefix[];
  /** In milliseconds since 1970. */
  readonly now: number;
}

/**
 * The prefixes that this node's pods have: those that it was given, those of its network configurations, or its share of
 * the network: the one that it has, or a new one where somebody else took it before. Pure.
 * @throws Fault 7 when the network is full, or there are none.
 */
export function ownPrefixes({ name, source, state, published, last, cni, now }: PrefixFacts): OwnPrefixes {
  if (source.from === "given") return { podPrefixes: source.prefixes };
  if (source.from === "cni") {
    if (cni.length > 0) return { podPrefixes: cni };
    throw new Fault(Code.invalidConfig, "this node has no pod prefixes", "give network or podPrefixes in agent.yaml");
  }
  const podPrefixes = sharesOf(source.cuts, name, state, published);
  // The same shares were taken when they were taken first: with another time at each call, a registry that goes on to
  // tell of an older record would be written to without end.
  const taken = [published, last].find((record) => podPrefixes.every((one) => record?.podPrefixes.includes(one)));
  return { podPrefixes, since: taken?.since ?? nextSince(name, state, now) };
}

/**
 * This node's record as it stands in the registry; undefined where there is none. A refused one is the newer one: what
 * was accepted before then only goes on to count. Pure.
 */
export function publishedRecord(name: string, { nodes, refusals }: RegistryState): NodeRecord | undefined {
  return refusals.find((refusal) => refusal.record?.name === name)?.record ?? nodes.find((node) => node.name === name);
}
