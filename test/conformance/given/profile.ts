import { readFile } from "node:fs/promises";
import { findPlugin } from "../../../src/cni/execute.ts";
import { isObject, type JsonObject } from "../../../src/cni/json.ts";
import { run } from "../../../src/os/process.ts";
import { ENVIRONMENT } from "../../../src/testbed/place.ts";
import type { Profile } from "../support/profile.ts";
import { releasedVersion, VERSIONS, type Version } from "../support/versions.ts";

/** What scripts/conformance.mjs was told. */
export interface GivenOptions {
  /** CNI_PATH. */
  readonly path: readonly string[];
  readonly type: string;
  /** File of a network configuration, or a list of them. */
  readonly conf: string;
  /** Without it, the newest that the plugin lists. */
  readonly version?: string;
  /** Types that it delegates to, beside its IPAM. */
  readonly delegates: readonly string[];
  /** Shell script that prepares the node. */
  readonly setup?: string;
}

/** @throws TypeError for what the script would not have written. */
export function parseOptions(text: string): GivenOptions {
  const options: unknown = text === "" ? undefined : JSON.parse(text);
  if (!isObject(options))
    throw new TypeError("run it by `npm run test:conformance -- --dir DIR --type TYPE --conf FILE`");
  const { path, type, conf, version, delegates, setup } = options;
  return {
    path: texts(path),
    type: String(type),
    conf: String(conf),
    delegates: texts(delegates),
    ...(typeof version === "string" ? { version } : {}),
    ...(typeof setup === "string" ? { setup } : {}),
  };
}

/** The profile of a plugin of which nothing is known but its configuration: no deviations, nothing to damage. */
export async function givenProfile(options: GivenOptions): Promise<Profile> {
  const { path, type, setup } = options;
  const conf = networkList(JSON.parse(await readFile(options.conf, "utf8")), options.conf);
  const own = conf.plugins.find((plugin) => plugin.type === type);
  if (own === undefined) throw new Error(`${options.conf} has no plugin of type "${type}"`);
  const ipam = isObject(own.ipam) && typeof own.ipam.type === "string" ? [own.ipam.type] : [];
  return {
    name: `${type} of ${path[0]}`,
    type,
    path,
    conf,
    version: await versionOf(options),
    delegates: options.delegates.length > 0 ? options.delegates : ipam,
    damages: [],
    unavailabilities: [],
    deviations: {},
    ...(setup === undefined
      ? {}
      : {
          setUp: async (_testbed, node) => {
            await node.exec(["sh", "-e", setup], { timeout: 60_000 });
            return undefined;
          },
        }),
  };
}

/** A list, or one configuration as a list of one. @throws Error for anything else. */
function networkList(json: unknown, file: string): Profile["conf"] {
  if (!isObject(json) || typeof json.name !== "string") throw new Error(`${file} has no network's "name"`);
  if (json.plugins === undefined) {
    const { name, cniVersion: _, ...plugin } = json;
    return { name, plugins: [plugin] };
  }
  if (!Array.isArray(json.plugins) || !json.plugins.every(isObject)) throw new Error(`${file}: plugins is no list`);
  return { name: json.name, plugins: json.plugins.map(({ cniVersion: _, ...plugin }: JsonObject) => plugin) };
}

/** @throws Error when the plugin lists none that was released. */
async function versionOf({ path, type, version }: GivenOptions): Promise<Version> {
  const wanted = releasedVersion(version);
  if (wanted !== undefined) return wanted;
  const { stdout } = await run(findPlugin(type, path), [], {
    timeout: 20_000,
    env: { ...ENVIRONMENT, CNI_COMMAND: "VERSION", CNI_PATH: path.join(":") },
    input: JSON.stringify({ cniVersion: "1.0.0" }),
  });
  const answer: unknown = JSON.parse(stdout.toString());
  const listed = isObject(answer) ? texts(answer.supportedVersions) : [];
  const newest = VERSIONS.findLast((one) => listed.includes(one));
  if (newest === undefined) throw new Error(`${type} lists no released version of the specification`);
  return newest;
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
