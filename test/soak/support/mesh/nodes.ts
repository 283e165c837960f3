/** The nodes, from 1. */
export const NODES = [1, 2, 3, 4, 5] as const;
export type NodeIndex = (typeof NODES)[number];

/** Nodes with pods of the plugin `wireguard`: they never leave, and have that driver always. */
export const ANCHORS = [1, 2] as const satisfies readonly NodeIndex[];

/** Two nodes, the smaller one first. There is one object for each pair. */
export interface Pair {
  readonly name: string;
  readonly nodes: readonly [NodeIndex, NodeIndex];
}

export const PAIRS: readonly Pair[] = NODES.flatMap((one) =>
  NODES.filter((other) => one < other).map((other): Pair => ({ name: `n${one}-n${other}`, nodes: [one, other] })),
);

/** The pair of two nodes, in any order. @throws RangeError for a node and itself. */
export function pairOf(one: NodeIndex, other: NodeIndex): Pair {
  const found = PAIRS.find(({ nodes }) => one !== other && nodes.includes(one) && nodes.includes(other));
  if (found === undefined) throw new RangeError(`n${one} and n${other} are no pair`);
  return found;
}

/** The pairs that a node is one of. */
export function pairsOf(node: NodeIndex): Pair[] {
  return PAIRS.filter(({ nodes }) => nodes.includes(node));
}

/** The nodes that are not this one. */
export function othersThan(node: NodeIndex): NodeIndex[] {
  return NODES.filter((other) => other !== node);
}
