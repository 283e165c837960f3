import { hostname } from "node:os";
import { type AgentConfig, parseAgentConfig } from "../config/agent.ts";
import { parseYaml } from "../config/yaml.ts";
import { Code, Fault } from "../fault.ts";
import { readSecretFile, readText } from "../os/file.ts";
import { watchDirectory } from "../os/watch-directory.ts";

/** A configuration as it stood in its file. */
export interface ReadConfig {
  readonly config: AgentConfig;
  readonly text: string;
}

/** @throws Fault 6 or 7 with everything that is wrong. */
export function readAgentConfig(file: string): ReadConfig {
  const text = readText(file);
  if (text === undefined) {
    throw new Fault(
      Code.invalidConfig,
      `${file} does not exist`,
      "write it (conf-examples/agent.yaml), or give --config",
    );
  }
  const context = { hostname: hostname(), euid: process.geteuid?.() ?? 0, readSecretFile };
  return { config: parseAgentConfig(parseYaml(text, file), file, context), text };
}

/** Milliseconds in which several writes of the file are one. */
const SETTLING = 200;

/**
 * Calls `onChange` after the file was written or replaced, until disposed of; also when it is a symbolic link that is
 * turned elsewhere. `onError` is told when it cannot be watched: then only a signal makes it read again.
 */
export function watchConfig(file: string, onChange: () => void, onError: (error: unknown) => void): Disposable {
  const slash = file.lastIndexOf("/");
  const [directory, name] = [file.slice(0, slash) || "/", file.slice(slash + 1)];
  let timer: NodeJS.Timeout | undefined;
  const changed = () => {
    // Not begun anew by the next change: a file that never keeps still is read as well.
    timer ??= setTimeout(() => {
      timer = undefined;
      onChange();
    }, SETTLING);
  };
  const follow = () => {
    watcher.follow().catch(onError);
  };
  const watcher = watchDirectory(directory, {
    // Kubernetes and others turn a link named ..data, through which the file is reached.
    onEntry: (entry) => {
      if (entry === name || entry.startsWith("..")) changed();
    },
    onReplaced: () => {
      follow();
      changed();
    },
  });
  follow();
  return {
    [Symbol.dispose]() {
      clearTimeout(timer);
      watcher[Symbol.dispose]();
    },
  };
}
