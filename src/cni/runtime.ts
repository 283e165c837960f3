import { Code, Fault } from "../fault.ts";
import { ResultCache } from "./cache.ts";
import type { ValidAttachment } from "./config.ts";
import { type Command, legalContainerID, legalIfname } from "./environment.ts";
import { executePlugin, findPlugin, type Runner } from "./execute.ts";
import { defined, type JsonObject } from "./json.ts";
import { type NetworkList, parseNetworkList, pluginConfig } from "./network-list.ts";
import { formatResult, parseResult, type Result } from "./result.ts";
import { atLeast } from "./version.ts";

/** Where a runtime finds its plugins and keeps what they returned. */
export interface RuntimeOptions {
  /** Directories with plugins. */
  readonly path: readonly string[];
  /** Results are cached in its `results/`, in libcni's format. */
  readonly cacheDir: string;
  /** The plugins' environment beside the CNI variables; ours without it. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Runs the plugins on another node. */
  readonly run?: Runner;
  /** Where that node's file system is seen from here: `path` is searched below it. */
  readonly root?: string;
  /** Milliseconds for each plugin; {@link PLUGIN_TIMEOUT} without it. */
  readonly timeout?: number;
}

/** One interface of one container. */
export interface RuntimeAttachment {
  readonly containerID: string;
  readonly netns?: string;
  readonly ifname: string;
  /** CNI_ARGS. */
  readonly args?: Readonly<Record<string, string>>;
  /** By capability; a plugin gets those that its configuration announces. */
  readonly capabilityArgs?: JsonObject;
}

/** A plugin failed: with a CNI error, or by breaking off. */
export class RuntimeError extends Error {
  override readonly name = "RuntimeError";

  constructor(
    /** The plugin's type. */
    readonly plugin: string,
    readonly code: number,
    readonly msg: string,
    readonly details: string,
    options?: ErrorOptions,
  ) {
    super(`plugin ${plugin}: ${msg}${details === "" ? "" : `; ${details}`}`, options);
  }
}

/** What a kubelet allows for a whole sandbox. */
export const PLUGIN_TIMEOUT = 240_000;

/**
 * What a container runtime does with a network configuration, by SPEC 1.1.0, section 3, and as libcni does it: for the
 * demo, the tests and the bench. A configuration is a single one or a list (`plugins`).
 */
export class Runtime {
  readonly #options: RuntimeOptions;
  readonly #cache: ResultCache;

  constructor(options: RuntimeOptions) {
    this.#options = options;
    this.#cache = new ResultCache(options.cacheDir);
  }

  /**
   * Calls the plugins in order, each with the result of the one before, and caches the last result.
   * Does not clean up when one fails: that is DEL's work, which the runtime owes.
   * @throws RuntimeError of the first plugin that fails.
   */
  async add(configuration: JsonObject, attachment: RuntimeAttachment): Promise<Result> {
    const list = this.#validated(configuration, attachment);
    let printed: JsonObject | undefined;
    for (const plugin of list.plugins) {
      const config = pluginConfig(list, plugin, { prevResult: printed, capabilityArgs: attachment.capabilityArgs });
      printed = await this.#call("ADD", config, attachment);
    }
    const result = parseResult(printed, "result");
    this.#cache.write({ ...attachment, networkName: list.name, result: printed ?? {} }, configuration);
    return result;
  }

  /** The plugins in reverse order, with the cached result where the version has that. @throws RuntimeError. */
  async del(configuration: JsonObject, attachment: RuntimeAttachment): Promise<void> {
    const list = this.#validated(configuration, attachment);
    const prevResult = this.#prevResult(list, attachment);
    for (const plugin of list.plugins.toReversed()) {
      const config = pluginConfig(list, plugin, { prevResult, capabilityArgs: attachment.capabilityArgs });
      await this.#call("DEL", config, attachment);
    }
    this.#cache.remove(list.name, attachment);
  }

  /** @throws RuntimeError of the first plugin that finds something; Fault 1 before 0.4.0, which has no CHECK. */
  async check(configuration: JsonObject, attachment: RuntimeAttachment): Promise<void> {
    const list = this.#validated(configuration, attachment);
    if (!atLeast(list.cniVersion, "0.4.0")) {
      throw new Fault(Code.incompatibleVersion, `cniVersion ${list.cniVersion} has no CHECK`, "use 0.4.0 or newer");
    }
    if (list.disableCheck) return;
    const prevResult = this.#prevResult(list, attachment);
    for (const plugin of list.plugins) {
      const config = pluginConfig(list, plugin, { prevResult, capabilityArgs: attachment.capabilityArgs });
      await this.#call("CHECK", config, attachment);
    }
  }

  /** Whether ADD can be expected to work. Says nothing before 1.1.0. @throws RuntimeError of the first that cannot. */
  async status(configuration: JsonObject): Promise<void> {
    const list = parseNetworkList(configuration);
    if (!atLeast(list.cniVersion, "1.1.0")) return;
    for (const plugin of list.plugins) await this.#call("STATUS", pluginConfig(list, plugin, {}));
  }

  /**
   * DEL for every cached attachment of the network that is not valid any more, then (from 1.1.0 on) GC for each plugin.
   * Goes on when one fails. @throws AggregateError of RuntimeErrors.
   */
  async gc(configuration: JsonObject, validAttachments: readonly ValidAttachment[]): Promise<void> {
    const list = parseNetworkList(configuration);
    if (list.disableGC) return;
    const isValid = ({ containerID, ifname }: ValidAttachment) =>
      validAttachments.some((valid) => valid.containerID === containerID && valid.ifname === ifname);
    const stale = this.#cache.list().filter((cached) => cached.networkName === list.name && !isValid(cached));
    const steps = stale.map((cached) => () => this.del(configuration, cached));
    if (atLeast(list.cniVersion, "1.1.0")) {
      steps.push(...list.plugins.map((plugin) => () => this.#gc(pluginConfig(list, plugin, { validAttachments }))));
    }
    const errors: unknown[] = [];
    for (const step of steps) await step().catch((error: unknown) => errors.push(error));
    if (errors.length > 0) throw new AggregateError(errors, errors.map(String).join("; "));
  }

  /** What the plugin says that it speaks. @throws RuntimeError. */
  async version(type: string): Promise<JsonObject> {
    return (await this.#call("VERSION", { type, cniVersion: "1.1.0" })) ?? {};
  }

  /** The result of the last ADD, as the last plugin printed it. */
  cachedResult(configuration: JsonObject, attachment: RuntimeAttachment): JsonObject | undefined {
    return this.#cache.read(parseNetworkList(configuration).name, attachment)?.result;
  }

  async #gc(config: JsonObject): Promise<void> {
    await this.#call("GC", config);
  }

  #validated(configuration: JsonObject, attachment: RuntimeAttachment): NetworkList {
    legalContainerID(attachment.containerID);
    legalIfname(attachment.ifname);
    return parseNetworkList(configuration);
  }

  async #call(command: Command, config: JsonObject, attachment?: RuntimeAttachment): Promise<JsonObject | undefined> {
    const { path, root = "", env = process.env, run, timeout = PLUGIN_TIMEOUT } = this.#options;
    const type = String(config.type);
    const variables = {
      ...env,
      CNI_CONTAINERID: attachment?.containerID ?? "",
      CNI_NETNS: attachment?.netns ?? "",
      CNI_IFNAME: attachment?.ifname ?? "",
      CNI_ARGS: Object.entries(attachment?.args ?? {})
        .map(([key, value]) => `${key}=${value}`)
        .join(";"),
      CNI_PATH: path.join(":"),
    };
    try {
      const found = findPlugin(
        type,
        path.map((directory) => `${root}${directory}`),
      );
      return await executePlugin(found.slice(root.length), defined({ command, env: variables, config, timeout, run }));
    } catch (error) {
      if (error instanceof Fault) {
        throw new RuntimeError(type, error.code, error.message, error.details ?? "", { cause: error });
      }
      throw error;
    }
  }

  /** The cached result in the version of the configuration, which may have changed since ADD. */
  #prevResult(list: NetworkList, attachment: RuntimeAttachment): JsonObject | undefined {
    if (!atLeast(list.cniVersion, "0.4.0")) return undefined;
    const cached = this.#cache.read(list.name, attachment)?.result;
    if (cached === undefined || cached.cniVersion === list.cniVersion) return cached;
    return formatResult(parseResult(cached, "cached result"), list.cniVersion);
  }
}
