/** The nodes, from 1. */
export const NODES = [1, 2, 3] as const;
export type NodeIndex = (typeof NODES)[number];

export const PLUGINS = ["strongswan", "wireguard"] as const;
export type Plugin = (typeof PLUGINS)[number];

/** A place for one pod: which node it is on and which plugin it is attached by. The pods in it come and go. */
export interface Slot {
  readonly name: string;
  readonly node: NodeIndex;
  readonly plugin: Plugin;
}

/** Two of each type on each node: twelve. */
export const SLOTS: readonly Slot[] = NODES.flatMap((node) =>
  PLUGINS.flatMap((plugin) => [1, 2].map((number) => ({ name: `n${node}-${plugin[0]}${number}`, node, plugin }))),
);

/** The slots with these properties. */
export function slotsOf(slots: Iterable<Slot>, wanted: Partial<Pick<Slot, "node" | "plugin">>): Slot[] {
  const { node, plugin } = wanted;
  return [...slots].filter(
    (slot) => (node === undefined || slot.node === node) && (plugin === undefined || slot.plugin === plugin),
  );
}
