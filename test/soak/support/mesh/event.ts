import type { Driver } from "../../../../src/registry/node-record.ts";
import type { NodeIndex, Pair } from "./nodes.ts";

/** What an operator, an editor or a file server can make of a node's file in the registry. */
export const DAMAGES = ["half", "no YAML", "a key twice", "another node's prefix", "binary", "empty"] as const;
export type Damage = (typeof DAMAGES)[number];

/** How a registry is away: its directory is gone, or an empty one is in its place, as where nothing is mounted. */
export const ABSENCES = ["gone", "empty"] as const;

/** Who puts right what was done to a node's file: its agent at once, or, where none runs, an operator, later. */
export type Mender = "agent" | "operator";

/** What a configuration is changed in: bytes, a text, the drivers in the order of preference. */
export type Setting =
  | { readonly mtu: number | "auto" }
  | { readonly label: string }
  | { readonly drivers: readonly Driver[] };

/** Something that happens to a mesh of agents. Plain data: what a seed makes can be printed, and done again. */
export type MeshEvent =
  /** An agent is started on a node that has none, or one that has left; or stopped there, and the node taken out. */
  | { readonly kind: "join" | "leave"; readonly node: NodeIndex }
  /** The agent ends by SIGKILL or by SIGTERM, and nothing that it started; later it is started again. */
  | { readonly kind: "agent-killed" | "agent-ended" | "agent-started"; readonly node: NodeIndex }
  /** As both at once. */
  | { readonly kind: "agent-replaced"; readonly node: NodeIndex; readonly signal: "SIGKILL" | "SIGTERM" }
  /** wireguard-go or charon dies. */
  | { readonly kind: "daemon-killed"; readonly node: NodeIndex; readonly driver: Driver }
  /** `podvpn rotate`, on several nodes at once. */
  | { readonly kind: "rotate"; readonly nodes: readonly NodeIndex[] }
  /** Nothing of the first comes to the second, or `both` ways nothing. */
  | { readonly kind: "cut"; readonly pair: Pair; readonly from: NodeIndex; readonly way: "one" | "both" }
  | { readonly kind: "healed"; readonly pair: Pair }
  | { readonly kind: "link-down" | "link-up"; readonly node: NodeIndex }
  /** The node has another address on the underlay. */
  | { readonly kind: "moved"; readonly node: NodeIndex; readonly family: 4 | 6 }
  | { readonly kind: "file-damaged"; readonly node: NodeIndex; readonly how: Damage; readonly mender: Mender }
  | { readonly kind: "file-removed"; readonly node: NodeIndex; readonly mender: Mender }
  | { readonly kind: "file-restored"; readonly node: NodeIndex }
  | { readonly kind: "registry-away"; readonly how: (typeof ABSENCES)[number] }
  | { readonly kind: "registry-back" }
  | ({ readonly kind: "configured"; readonly node: NodeIndex } & Setting)
  /** DEL of the node's pod, and ADD of another one. */
  | { readonly kind: "pod-replaced"; readonly node: NodeIndex };

export type MeshKind = MeshEvent["kind"];
