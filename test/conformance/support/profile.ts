import type { JsonObject } from "../../../src/cni/json.ts";
import type { Node } from "../../../src/testbed/node.ts";
import type { Testbed } from "../../../src/testbed/testbed.ts";
import type { Attached } from "./attached.ts";
import type { Version } from "./versions.ts";

/** The kinds of things that a result lists, and a plugin makes. */
export type Kind = "interface" | "address" | "route";

/** A requirement that a plugin is known not to fulfil. Its test passes only as long as that is so. */
export interface Deviation {
  readonly why: string;
  /** What the violation says: another violation of the same requirement is not the known one. */
  readonly says: RegExp;
}

/** Something that a plugin needs and that a test takes away. */
export interface Damage {
  /** What is wrong then: "charon is killed". */
  readonly what: string;
  readonly cause: (attached: Attached) => Promise<void>;
}

/** A state of the node or configuration in which the plugin knows that no ADD can succeed. */
export interface Unavailability {
  readonly what: string;
  /** The plugin's configuration, changed. */
  readonly conf: (conf: JsonObject) => JsonObject;
}

/** One plugin with one configuration, and what is expected of it beyond the specification. */
export interface Profile {
  /** For titles: "reference bridge 1.9.1". */
  readonly name: string;
  /** Name of the executable, and the entry of `conf.plugins` that is tested. */
  readonly type: string;
  /** CNI_PATH. */
  readonly path: readonly string[];
  /**
   * A network configuration list. The entry of `type` is the plugin under test; when it is not the first it is tested in
   * its chained form, behind the results of those before it.
   */
  readonly conf: { readonly name: string; readonly plugins: readonly JsonObject[] };
  /** In which the requirements are tested. */
  readonly version: Version;
  /** All that VERSION must say; what it says is not judged without it. */
  readonly versions?: readonly string[];
  /** Types of the plugins that it delegates to. */
  readonly delegates: readonly string[];
  /** What its result must add to that of the plugins before it; not judged without it. */
  readonly makes?: readonly Kind[];
  /** Beside what the result lists: CHECK must see each of them. */
  readonly damages: readonly Damage[];
  /** STATUS must tell of each of them. */
  readonly unavailabilities: readonly Unavailability[];
  /** By the id of the requirement. */
  readonly deviations: Readonly<Record<string, Deviation>>;
  /** Further environment of the plugin. */
  readonly env?: Readonly<Record<string, string>>;
  /** Makes the plugin's surroundings, before it is first called: a hub beside the node, a key on it. */
  readonly setUp?: (testbed: Testbed, node: Node) => Promise<AsyncDisposable | undefined>;
}
