import { aggregateParts } from "../net/aggregate.ts";
import type { Prefix } from "../net/prefix.ts";
import { type PrefixParts, sortedParts } from "../net/sorted.ts";
import type { NodeRecord } from "../registry/node-record.ts";

/** The pod prefixes of all nodes, read and sorted once: with a thousand nodes this is most of what a plan costs. */
export class PodPrefixes {
  readonly #sorted: readonly (PrefixParts & { readonly node: NodeRecord })[];

  constructor(nodes: readonly NodeRecord[]) {
    const owners = new Map(nodes.flatMap((node) => node.podPrefixes.map((prefix) => [prefix, node] as const)));
    this.#sorted = sortedParts([...owners.keys()]).flatMap((parts) => {
      const node = owners.get(parts.prefix);
      return node === undefined ? [] : [{ ...parts, node }];
    });
  }

  /** Those of some nodes. Sorted. */
  of(counts: (node: NodeRecord) => boolean): Prefix[] {
    return this.#sorted.filter(({ node }) => counts(node)).map(({ prefix }) => prefix);
  }

  /** Those of some nodes, aggregated. Sorted. */
  whole(counts: (node: NodeRecord) => boolean): Prefix[] {
    return aggregateParts(this.#sorted.filter(({ node }) => counts(node)));
  }

  /** All of them by what their nodes have in common; without those whose nodes have nothing. Each list is sorted. */
  by<K>(key: (node: NodeRecord) => K | undefined): ReadonlyMap<K, readonly Prefix[]> {
    const lists = new Map<K, Prefix[]>();
    for (const { prefix, node } of this.#sorted) {
      const common = key(node);
      if (common === undefined) continue;
      const list = lists.get(common);
      if (list === undefined) lists.set(common, [prefix]);
      else list.push(prefix);
    }
    return lists;
  }
}
