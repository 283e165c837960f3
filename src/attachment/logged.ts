import type { Call } from "../cni/dispatch.ts";
import { type Log, type LogLevel, openLog } from "../os/log.ts";

/** Whom an operation is about; STATUS and GC are about no container. */
export interface Subject {
  readonly containerID?: string;
  readonly ifname?: string;
}

/** Runs a verb and says in `logFile` what came of it. The two keys are read as they are: DEL reads no configuration. */
export async function logged<T>(verb: string, call: Call & Subject, work: (log: Log) => Promise<T>): Promise<T> {
  const { logFile, logLevel } = call.config.raw;
  const path = typeof logFile === "string" && logFile.startsWith("/") ? logFile : undefined;
  const level = LEVELS.find((name) => name === logLevel) ?? "info";
  const subject = [verb, call.config.name, call.containerID, call.ifname]
    .filter((part) => part !== undefined)
    .join(" ");
  const log = openLog(path, level, subject);
  log.write("debug", "begins");
  try {
    const result = await work(log);
    log.write("info", `done after ${performance.now().toFixed(0)} ms`);
    return result;
  } catch (error) {
    log.write("error", error instanceof Error ? error.message : String(error));
    throw error;
  }
}

const LEVELS: readonly LogLevel[] = ["error", "info", "debug"];
