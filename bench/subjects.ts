import type { NetworkName } from "./networks.ts";
import { BRIDGE } from "./pods.ts";

/** Our plugins. */
export const PLUGINS = ["strongswan", "wireguard"] as const;
export type Plugin = (typeof PLUGINS)[number];

/** The executables under measurement. */
export interface Subjects {
  /** Node itself: the very file that the executable was made of. */
  readonly node: string;
  /** Directories with our plugins, by the name that the report shows; the first one is the build that is reported. */
  readonly builds: Readonly<Record<string, string>>;
  /** Those to be measured. */
  readonly plugins: readonly Plugin[];
}

/** A plugin of ours on one of the bench's networks. */
export interface Case {
  readonly plugin: Plugin;
  readonly network: NetworkName;
  /** What is special about it; empty for the plugin at its usual work. */
  readonly note: string;
  /** The pod of the network that is there before: all the time, from before each ADD until after its DEL, or none. */
  readonly resident: "always" | "around" | "never";
}

/** What is measured in every round, in this order. */
export const CASES: readonly Case[] = [
  { plugin: "strongswan", network: "strongswan", note: "", resident: "always" },
  { plugin: "wireguard", network: "wireguard", note: "", resident: "always" },
  { plugin: "wireguard", network: "first", note: ", the node's first pod", resident: "never" },
  { plugin: "wireguard", network: "many", note: ", 1,000 peers", resident: "around" },
];

/** Names of what is compared with. */
export const SERIES = {
  node: "`node -e 0`",
  bridgeAdd: "bridge ADD, ipMasq off",
  bridgeDel: "bridge DEL, ipMasq off",
  bridgeMasqAdd: "bridge ADD, ipMasq on",
  bridgeMasqDel: "bridge DEL, ipMasq on",
  charonStart: "charon alone: start, up to its first answer",
  charonConnect: "charon alone: PSK, connection, initiate, read back",
  charon: "charon alone: both",
} as const;

/** Name of the reported build: its series are called by their plugin alone. */
export const THIS_BUILD = "";

/** Name of a series of a plugin. */
export function seriesOf(
  { plugin, note }: Pick<Case, "plugin" | "note">,
  verb: "VERSION" | "ADD" | "DEL",
  build = THIS_BUILD,
): string {
  return `${plugin} ${verb}${note}${build === THIS_BUILD ? "" : ` of ${build}`}`;
}

/** The first build's directory. */
export function reportedBuild({ builds }: Pick<Subjects, "builds">): string {
  const [directory] = Object.values(builds);
  if (directory === undefined) throw new RangeError("no build is to be measured");
  return directory;
}

/** File of a plugin in a build's directory. */
export function pluginFile(directory: string, plugin: Plugin | "bridge"): string {
  return plugin === "bridge" ? BRIDGE : `${directory}/${plugin}`;
}
