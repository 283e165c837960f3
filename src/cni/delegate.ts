import { Code, Fault } from "../fault.ts";
import { processStdio } from "../os/stdio.ts";
import type { Command } from "./environment.ts";
import { type ExecuteOptions, executePlugin, findPlugin, PluginFault, type Runner } from "./execute.ts";
import { defined, type JsonObject } from "./json.ts";
import { formatResult, parseResult, type Result } from "./result.ts";
import { atLeast, type CniVersion, FIRST_VERSION, highestCommon, newestVersion } from "./version.ts";

/** A call that is passed on to another plugin (SPEC 1.1.0, section 4). */
export interface DelegateOptions {
  readonly verb: Exclude<Command, "VERSION">;
  /** File name of the plugin. */
  readonly type: string;
  /** CNI_PATH, in the order in which it is searched. */
  readonly path: readonly string[];
  /** Our whole environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The delegate's configuration. `cniVersion` and `prevResult` in it are replaced. */
  readonly config: JsonObject;
  /** The version of our own configuration. */
  readonly cniVersion: CniVersion;
  readonly prevResult?: Result;
  /** Milliseconds; {@link DELEGATE_TIMEOUT} without it. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
  readonly inheritFds?: readonly number[];
  readonly run?: Runner;
}

/** Below the 4 minutes that a kubelet gives a sandbox: a bridge that waits for the lock of iptables is still waited for. */
export const DELEGATE_TIMEOUT = 120_000;

/**
 * Calls another plugin with our environment. It is spoken to in 1.1.0 when our caller speaks that, else in 1.0.0; where
 * it refuses (code 1) in the newest version from 0.3.0 on that both speak. An operation that the delegate is too old to
 * know (CHECK before 0.4.0, GC and STATUS before 1.1.0) is left out.
 * @returns The result of ADD; undefined for every other verb.
 * @throws PluginFault with the delegate's own code and message; Fault 100 when it is missing or breaks off.
 */
export function delegate(options: DelegateOptions & { readonly verb: "ADD" }): Promise<Result>;
export function delegate(options: DelegateOptions): Promise<Result | undefined>;
export async function delegate(options: DelegateOptions): Promise<Result | undefined> {
  const file = findPlugin(options.type, options.path);
  const first = atLeast(options.cniVersion, "1.1.0") ? "1.1.0" : "1.0.0";
  try {
    return await callIn(first, file, options);
  } catch (error) {
    if (!mayBeTooOld(error, options.verb)) throw error;
    const offered = await offeredVersions(file, options, first);
    if (offered.includes(first)) throw error; // its code is about something else
    const version = common(offered, file);
    return atLeast(version, FIRST_VERSION[options.verb]) ? await callIn(version, file, options) : undefined;
  }
}

async function callIn(version: CniVersion, file: string, options: DelegateOptions): Promise<Result | undefined> {
  const prevResult = options.prevResult && formatResult(options.prevResult, version);
  const printed = await executePlugin(
    file,
    executeOptions(options, options.verb, defined({ ...options.config, cniVersion: version, prevResult })),
  );
  if (options.verb !== "ADD") return undefined;
  try {
    return parseResult(printed, "result");
  } catch (cause) {
    if (!(cause instanceof Fault)) throw cause;
    throw new Fault(
      Code.delegate,
      `${file} printed a result that is none: ${cause.what}`,
      "install a correct version of it",
      {
        cause,
      },
    );
  }
}

/** Before 1.1.0 a plugin knows neither GC nor STATUS, and finds fault with the version, the command or the container. */
function mayBeTooOld(error: unknown, verb: Command): boolean {
  if (!(error instanceof PluginFault)) return false;
  if (error.code === Code.incompatibleVersion) return true;
  const codes: number[] = [Code.unknownContainer, Code.invalidEnvironment];
  return (verb === "GC" || verb === "STATUS") && codes.includes(error.code);
}

async function offeredVersions(file: string, options: DelegateOptions, asked: CniVersion): Promise<readonly unknown[]> {
  const printed = await executePlugin(file, executeOptions(options, "VERSION", { cniVersion: asked }));
  const offered = printed?.supportedVersions;
  return Array.isArray(offered) ? offered : [];
}

function common(offered: readonly unknown[], file: string): CniVersion {
  const version = highestCommon(offered, "0.3.0");
  if (version !== undefined) return version;
  const what = `${file} speaks ${offered.length === 0 ? "no version of CNI that it names" : `CNI ${offered.join(", ")}`}`;
  throw new Fault(Code.delegate, what, `install a version of it that speaks one from 0.3.0 to ${newestVersion}`);
}

function executeOptions(options: DelegateOptions, command: Command, config: JsonObject): ExecuteOptions {
  const { env, signal, inheritFds, run, timeout = DELEGATE_TIMEOUT } = options;
  // SPEC 1.1.0, section 4: a delegate's standard error goes to ours.
  const onStderr = processStdio().writeStderr;
  return defined({ command, env, config, timeout, signal, inheritFds, onStderr, run });
}
