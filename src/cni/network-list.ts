import { legalNetworkName, type ValidAttachment } from "./config.ts";
import { defined, expected, type JsonObject, listAt, objectAt, required, textAt } from "./json.ts";
import { atLeast, type CniVersion, knownVersion, parseVersion } from "./version.ts";

/** A network configuration as an administrator writes it (SPEC 1.1.0, section 1): a list, or one plugin alone. */
export interface NetworkList {
  readonly name: string;
  readonly cniVersion: CniVersion;
  /** False when the file names no version: the plugins then get none either. */
  readonly explicitVersion: boolean;
  readonly plugins: readonly JsonObject[];
  readonly disableCheck: boolean;
  readonly disableGC: boolean;
}

/** What changes from call to call in a plugin's configuration. */
export interface Injected {
  readonly prevResult?: JsonObject | undefined;
  readonly capabilityArgs?: JsonObject | undefined;
  readonly validAttachments?: readonly ValidAttachment[] | undefined;
}

/**
 * Reads a configuration. Of `cniVersion` and `cniVersions` the newest that we speak is taken.
 * @throws Fault 1 or 7 that names the field.
 */
export function parseNetworkList(configuration: JsonObject): NetworkList {
  const plugins =
    configuration.plugins === undefined
      ? [configuration]
      : listAt(configuration.plugins, "plugins").map((value, index) =>
          required(objectAt(value, `plugins[${index}]`), `plugins[${index}]`, "a plugin's configuration"),
        );
  if (plugins.length === 0) throw expected([], "plugins", "at least one plugin");
  for (const [index, plugin] of plugins.entries()) {
    required(
      textAt(plugin.type, `plugins[${index}].type`),
      `plugins[${index}].type`,
      "the name of the plugin's executable",
    );
  }
  const offered = listAt(configuration.cniVersions, "cniVersions").flatMap((version) => knownVersion(version) ?? []);
  const own =
    offered.length > 0 && configuration.cniVersion === undefined
      ? []
      : [parseVersion(configuration.cniVersion, "cniVersion")];
  return {
    name: legalNetworkName(required(textAt(configuration.name, "name"), "name", "the network a name")),
    cniVersion: [...own, ...offered].reduce((newest, version) => (atLeast(version, newest) ? version : newest)),
    explicitVersion: configuration.cniVersion !== undefined || offered.length > 0,
    plugins,
    disableCheck: configuration.disableCheck === true,
    disableGC: configuration.disableGC === true,
  };
}

/** What one plugin of the list gets on standard input (SPEC 1.1.0, section 3, "Deriving request configuration"). */
export function pluginConfig(list: NetworkList, plugin: JsonObject, injected: Injected): JsonObject {
  const { capabilities, cniVersions: _, ...rest } = plugin;
  const runtimeConfig = Object.fromEntries(
    Object.entries(objectAt(capabilities, "capabilities") ?? {})
      .filter(([capability, announced]) => announced === true && injected.capabilityArgs?.[capability] !== undefined)
      .map(([capability]) => [capability, injected.capabilityArgs?.[capability]]),
  );
  return defined({
    ...rest,
    name: list.name,
    cniVersion: list.explicitVersion ? list.cniVersion : undefined,
    prevResult: injected.prevResult,
    runtimeConfig: Object.keys(runtimeConfig).length === 0 ? undefined : runtimeConfig,
    "cni.dev/valid-attachments": injected.validAttachments,
  });
}
