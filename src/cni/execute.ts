import { Code, Fault } from "../fault.ts";
import { findExecutable } from "../os/file.ts";
import { type RunOptions, type RunResult, run } from "../os/process.ts";
import type { Command } from "./environment.ts";
import { defined, isObject, type JsonObject } from "./json.ts";

/** Runs a program to its end as {@link run} does, here or (in tests and the demo) on another node. */
export type Runner = (file: string, args: readonly string[], options: RunOptions) => Promise<RunResult>;

/** How a plugin's executable is called. */
export interface ExecuteOptions {
  readonly command: Command;
  /** The whole environment; CNI_COMMAND is set here. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The network configuration. */
  readonly config: JsonObject;
  /** Milliseconds. */
  readonly timeout: number;
  readonly signal?: AbortSignal;
  /** File descriptors of ours that the plugin gets as its 3, 4, …: a lock that must outlive us. */
  readonly inheritFds?: readonly number[];
  /** Gets what the plugin wrote to its standard error, when it has ended and has written any. */
  readonly onStderr?: (text: string) => void;
  readonly run?: Runner;
}

/** A CNI error that another plugin reported. Code, message and details are its own words, verbatim. */
export class PluginFault extends Fault {
  constructor(
    readonly type: string,
    code: number,
    readonly msg: string,
    details: string | undefined,
  ) {
    super(code, msg, "", defined({ details }));
    this.message = msg; // without a remedy of ours
  }
}

/**
 * The executable of plugin `type`: the first executable regular file of that name in the directories of `path`.
 * @throws Fault 100 that names the directories searched, Fault 4 when there are none (no CNI_PATH); Fault 7 when `type`
 * is not a mere file name.
 */
export function findPlugin(type: string, path: readonly string[]): string {
  if (type === "" || type === "." || type === ".." || type.includes("/")) {
    throw new Fault(
      Code.invalidConfig,
      `the plugin type is "${type}"`,
      "give the file name of a plugin, without a path",
    );
  }
  const file = findExecutable(type, path);
  if (file !== undefined) return file;
  if (path.length === 0) {
    const what = `CNI_PATH is missing, in which the plugin "${type}" is looked for`;
    throw new Fault(Code.invalidEnvironment, what, "call the plugin from a CNI runtime");
  }
  throw new Fault(
    Code.delegate,
    `no CNI plugin "${type}" in ${path.join(", ")}`,
    "install it there (Debian: containernetworking-plugins, in /usr/lib/cni) or add its directory to CNI_PATH",
  );
}

/**
 * Runs a plugin's executable once.
 * @returns What it printed; undefined for the operations that print nothing.
 * @throws PluginFault for a CNI error; Fault 100 with the last lines of standard error when it ends in any other way;
 * as {@link run}.
 */
export async function executePlugin(file: string, options: ExecuteOptions): Promise<JsonObject | undefined> {
  const { command, config, env, timeout, signal, inheritFds, onStderr } = options;
  const ended = await (options.run ?? run)(
    file,
    [],
    defined({
      env: { ...env, CNI_COMMAND: command },
      input: JSON.stringify(config),
      timeout,
      signal,
      extraFds: inheritFds,
    }),
  );
  if (ended.stderr.length > 0) onStderr?.(ended.stderr.toString());
  return interpret(file, command, ended);
}

function interpret(
  file: string,
  command: Command,
  { code, signal, stdout, stderr }: RunResult,
): JsonObject | undefined {
  const printed = tryParse(stdout.toString());
  if (code === 0) {
    if (command !== "ADD" && command !== "VERSION") return undefined;
    if (printed !== undefined) return printed;
    throw broken(`${file} printed no JSON object as the result of ${command}`, stderr);
  }
  if (signal !== null) throw broken(`${file} was killed by ${signal} during ${command}`, stderr);
  if (typeof printed?.code === "number" && typeof printed.msg === "string") {
    const details = typeof printed.details === "string" && printed.details !== "" ? printed.details : undefined;
    throw new PluginFault(file.slice(file.lastIndexOf("/") + 1), printed.code, printed.msg, details);
  }
  throw broken(`${file} ended with exit status ${code} during ${command}, without a CNI error`, stderr);
}

function broken(what: string, stderr: Buffer): Fault {
  const lines = stderr.toString().trimEnd().split("\n").slice(-LAST_LINES).join("\n");
  const remedy = "see that the plugin runs when called by hand, and is of a version that fits the configuration";
  return new Fault(Code.delegate, what, remedy, lines === "" ? {} : { details: lines });
}

/** Enough for a Go panic's message and the frames that matter. */
const LAST_LINES = 20;

function tryParse(text: string): JsonObject | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return isObject(json) ? json : undefined;
  } catch {
    return undefined;
  }
}
