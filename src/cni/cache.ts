import { listDirectory, mkdirPrivate, readText, removeTree, writeAtomic } from "../os/file.ts";
import type { ValidAttachment } from "./config.ts";
import { defined, isObject, type JsonObject } from "./json.ts";

/** What a runtime keeps of one ADD: what DEL and CHECK must be given again. */
export interface CachedAttachment extends ValidAttachment {
  readonly networkName: string;
  readonly netns?: string;
  readonly args?: Readonly<Record<string, string>>;
  readonly capabilityArgs?: JsonObject;
  /** As the last plugin printed it. */
  readonly result: JsonObject;
}

/** The results of ADD, one file each, in the format and under the names that libcni uses (`cniCacheV1`). */
export class ResultCache {
  readonly #directory: string;

  /** @param cacheDir Its `results/` is used. */
  constructor(cacheDir: string) {
    this.#directory = `${cacheDir}/results`;
  }

  write(attachment: CachedAttachment, configuration: JsonObject): void {
    mkdirPrivate(this.#directory);
    const { networkName, containerID, ifname, netns, args, capabilityArgs, result } = attachment;
    const file = defined({
      kind: KIND,
      containerId: containerID,
      config: Buffer.from(JSON.stringify(configuration)).toString("base64"), // Go's []byte
      ifName: ifname,
      networkName,
      netns,
      cniArgs: args && Object.entries(args),
      capabilityArgs,
      result,
    });
    writeAtomic(this.#path(networkName, attachment), JSON.stringify(file));
  }

  /** Undefined when there is none, or none that can be read: a DEL must not fail by a broken cache. */
  read(networkName: string, attachment: ValidAttachment): CachedAttachment | undefined {
    return parseCached(readText(this.#path(networkName, attachment)));
  }

  remove(networkName: string, attachment: ValidAttachment): void {
    removeTree(this.#path(networkName, attachment));
  }

  /** All that can be read, of all networks. */
  list(): CachedAttachment[] {
    return listDirectory(this.#directory).flatMap((name) => parseCached(readText(`${this.#directory}/${name}`)) ?? []);
  }

  #path(networkName: string, { containerID, ifname }: ValidAttachment): string {
    return `${this.#directory}/${networkName}-${containerID}-${ifname}`;
  }
}

const KIND = "cniCacheV1";

function parseCached(text: string | undefined): CachedAttachment | undefined {
  if (text === undefined) return undefined;
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(file) || file.kind !== KIND || !isObject(file.result)) return undefined;
  const { containerId, ifName, networkName, netns, cniArgs, capabilityArgs, result } = file;
  if (typeof containerId !== "string" || typeof ifName !== "string" || typeof networkName !== "string")
    return undefined;
  return defined({
    containerID: containerId,
    ifname: ifName,
    networkName,
    netns: typeof netns === "string" ? netns : undefined,
    args: Array.isArray(cniArgs) ? Object.fromEntries(cniArgs) : undefined,
    capabilityArgs: isObject(capabilityArgs) ? capabilityArgs : undefined,
    result,
  });
}
