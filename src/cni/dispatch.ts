import { Code, Fault } from "../fault.ts";
import type { Stdio } from "../os/stdio.ts";
import { trace } from "../os/trace.ts";
import { decodeNetConf, decodeObject, type NetConf } from "./config.ts";
import { type Attachment, type Command, parseEnvironment } from "./environment.ts";
import { type CniError, formatDelError, formatError } from "./error.ts";
import { type JsonObject, required } from "./json.ts";
import { formatResult, type Result } from "./result.ts";
import { atLeast, type CniVersion, FIRST_VERSION, knownVersion, newestVersion, supportedVersions } from "./version.ts";

/** What every operation but VERSION gets. */
export interface Call {
  readonly config: NetConf;
  /** CNI_PATH. */
  readonly path: readonly string[];
  /** The whole environment, as delegates must get it. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface AddCall extends Call, Attachment {
  /** Path of the container's network namespace. */
  readonly netns: string;
}

export interface DelCall extends Call, Attachment {
  /** Absent when the container is gone. */
  readonly netns?: string;
}

export interface CheckCall extends AddCall {
  /** What ADD returned in the end, the plugins after us included. */
  readonly prevResult: Result;
}

/** A CNI plugin: one method for each operation. What a method throws becomes the CNI error; a Fault keeps its code. */
export interface Plugin {
  add(call: AddCall): Promise<Result>;
  del(call: DelCall): Promise<void>;
  check(call: CheckCall): Promise<void>;
  status(call: Call): Promise<void>;
  gc(call: Call): Promise<void>;
}

/**
 * The main function of a plugin's executable (SPEC 1.1.0, section 2). Prints nothing but the result or the CNI error to
 * standard output, and ends with 0 or 1.
 * @param loadPlugin Called only when there is something to do: VERSION and a refused call never load the plugin.
 * @param about Told on standard error to whoever starts the executable by hand.
 */
export async function main(loadPlugin: () => Promise<Plugin>, about: string, io: Stdio): Promise<void> {
  if (!io.env.CNI_COMMAND) {
    io.writeStderr(`${about}\nCNI protocol versions supported: ${supportedVersions.join(", ")}\n`);
    io.exit(0);
    return;
  }
  trace("our code runs");
  let version: CniVersion = newestVersion;
  let status = 0;
  try {
    const input = io.readStdin();
    version = answerVersion(input);
    const output = await answer(input, loadPlugin, io.env);
    if (output !== undefined) io.writeStdout(`${JSON.stringify(output)}\n`);
  } catch (thrown) {
    status = 1;
    const format = io.env.CNI_COMMAND === "DEL" ? formatDelError : formatError;
    report(io, format(thrown, version));
  }
  trace("answered");
  io.exit(status);
}

/** What is printed in the end; undefined for the operations that print nothing. */
async function answer(
  input: string,
  loadPlugin: () => Promise<Plugin>,
  env: Stdio["env"],
): Promise<object | undefined> {
  const environment = parseEnvironment(env);
  if (environment.command === "VERSION") return { cniVersion: probedVersion(input), supportedVersions };
  const config = decodeNetConf(input, environment.command);
  requireVersion(config.cniVersion, environment.command);
  const call = { ...environment, config, env };
  switch (environment.command) {
    case "ADD":
      return formatResult(await (await loadPlugin()).add({ ...call, ...environment }), config.cniVersion);
    case "DEL":
      await (await loadPlugin()).del({ ...call, ...environment });
      return undefined;
    case "CHECK": {
      const prevResult = required(config.prevResult, "prevResult", "the result of ADD");
      await (await loadPlugin()).check({ ...call, ...environment, prevResult });
      return undefined;
    }
    case "STATUS":
      await (await loadPlugin()).status(call);
      return undefined;
    case "GC":
      await (await loadPlugin()).gc(call);
      return undefined;
  }
}

/** @throws Fault 1 when the configuration's version has no such operation. */
function requireVersion(version: CniVersion, command: Exclude<Command, "VERSION">): void {
  const least = FIRST_VERSION[command];
  if (atLeast(version, least)) return;
  throw new Fault(
    Code.incompatibleVersion,
    `${command} does not exist in cniVersion ${version}`,
    `set cniVersion to ${least} or newer`,
  );
}

/**
 * The version to answer in, read before anything is validated: errors are printed in it too.
 * The newest for what we do not speak: a code 1 must be readable whatever was asked for.
 */
function answerVersion(input: string): CniVersion {
  const config = tryDecode(input);
  if (config === undefined) return newestVersion;
  return config.cniVersion === undefined ? "0.1.0" : (knownVersion(config.cniVersion) ?? newestVersion);
}

/**
 * VERSION is how a runtime finds out what we speak: it never fails, whatever comes in. It is answered in the version that
 * it was asked in, whether or not we speak that (SPEC 1.1.0, section 5, "VERSION Success").
 */
function probedVersion(input: string): string {
  const asked = tryDecode(input)?.cniVersion;
  return typeof asked === "string" && /^\d+\.\d+\.\d+$/.test(asked) ? asked : newestVersion;
}

function tryDecode(input: string): JsonObject | undefined {
  try {
    return decodeObject(input);
  } catch {
    return undefined;
  }
}

function report(io: Stdio, error: CniError): void {
  const line = `${JSON.stringify(error)}\n`;
  try {
    io.writeStdout(line);
  } catch {
    io.writeStderr(line);
  }
}
