import type { NodeIndex, Slot } from "./slots.ts";

/** File systems of a node that can be full. */
export const MOUNTS = ["/run", "/var/lib/cni", "/var/lib/podvpn"] as const;
export type Mount = (typeof MOUNTS)[number];

/** What a pod can do to its own network, with CAP_NET_ADMIN. */
export const HARMS = {
  strongswan: ["routes", "rules", "filter", "down", "link", "tunnel"],
  wireguard: ["routes", "down", "link"],
} as const;
export type Harm = (typeof HARMS)["strongswan" | "wireguard"][number];

/** The hub is two processes: `podvpn hub` and the charon that it supervises. */
export const HUB_PARTS = ["process", "charon", "both"] as const;

/** How a runtime calls DEL: as usual, after the namespace has gone, or without CNI_NETNS. */
export const NETNS_OF_DEL = ["there", "gone", "unset"] as const;

/** Something that happens. Plain data: what a seed makes can be printed, and done again. */
export type Event =
  | { readonly kind: "add"; readonly slot: Slot }
  | { readonly kind: "del"; readonly slot: Slot; readonly netns: (typeof NETNS_OF_DEL)[number] }
  /** The plugin dies by SIGKILL after its `effect`th effect; then the runtime calls DEL, or ADD again. */
  | { readonly kind: "add-killed"; readonly slot: Slot; readonly effect: number; readonly next: "DEL" | "ADD" }
  /** As above; the runtime calls DEL again. */
  | { readonly kind: "del-killed"; readonly slot: Slot; readonly effect: number }
  /** The pod's namespace goes, the runtime forgets it, and later calls GC with what it knows. */
  | { readonly kind: "gc"; readonly slot: Slot }
  | { readonly kind: "check"; readonly node: NodeIndex }
  | { readonly kind: "charon-killed" | "charon-stopped"; readonly slot: Slot }
  | { readonly kind: "wireguard-go-killed" | "wireguard-go-stopped"; readonly node: NodeIndex }
  | { readonly kind: "hub-killed"; readonly part: (typeof HUB_PARTS)[number] }
  | { readonly kind: "hub-terminated" | "hub-started" }
  | { readonly kind: "link-down" | "link-up"; readonly node: NodeIndex }
  /** The node starts anew, and its runtime calls DEL for the pods that were. */
  | { readonly kind: "reboot"; readonly node: NodeIndex }
  /** Of the node's files of state, in order, the one at `pick` modulo their number. */
  | { readonly kind: "file-lost"; readonly node: NodeIndex; readonly pick: number }
  /** What the plugins of the node, or the hub, take for the time: so many seconds off. */
  | { readonly kind: "clock"; readonly machine: NodeIndex | "hub"; readonly offset: number }
  | { readonly kind: "disk-full"; readonly node: NodeIndex; readonly mount: Mount }
  | { readonly kind: "disk-freed"; readonly node: NodeIndex }
  | { readonly kind: "harm"; readonly slot: Slot; readonly what: Harm };

export type Kind = Event["kind"];

/** An event of whichever soak. */
export type PlainEvent = { readonly kind: string } & Readonly<Record<string, unknown>>;

/** An event on one line: "del n1-s2 netns=gone". Pure. */
export function describe(event: PlainEvent): string {
  const { kind, ...rest } = event;
  const parts = Object.entries(rest).map(([key, value]) => {
    if (typeof value === "object" && value !== null && "name" in value) return value.name;
    return key === "node" ? `n${value}` : `${key}=${value}`;
  });
  return [kind, ...parts].join(" ");
}
