import { referencePlugins } from "../../../scripts/reference.mjs";
import { DIST } from "../../netns/support/cluster.ts";

/** One of the sets of reference plugins that ours delegate to. */
export interface PluginDirectories {
  readonly name: string;
  /** CNI_PATH: the built executable first. */
  readonly path: readonly string[];
}

export const DEBIAN: PluginDirectories = { name: "Debian's reference plugins (1.1.1)", path: [DIST, "/usr/lib/cni"] };

/** They speak the specification 1.1.0, and masquerade by nftables. */
export const CURRENT: PluginDirectories = {
  name: "the current reference plugins (1.9.1)",
  path: [DIST, await referencePlugins()],
};
