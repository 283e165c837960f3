import { appendFileSync, renameSync, statSync } from "node:fs";
import { effect } from "./effect.ts";

/** How much a log has: what failed, what was done, or every step. */
export type LogLevel = "error" | "info" | "debug";

/** One line for each entry: time, level, what it is about, message. */
export interface Log {
  write(level: LogLevel, message: string): void;
}

/** In bytes. At the bound the file becomes `FILE.1`, and the one before that is forgotten. */
const BOUND = 1024 * 1024;

/**
 * Appends to `path`, 0600, up to `level`. A log that cannot be written is no reason to leave a pod without a network:
 * its failures are ignored, as it is told in the documentation of `logFile`.
 * @param subject What all entries of this process are about.
 */
export function openLog(path: string | undefined, level: LogLevel, subject: string): Log {
  return {
    write(entry, message) {
      if (path === undefined || ORDER.indexOf(entry) > ORDER.indexOf(level)) return;
      const line = `${new Date().toISOString()} ${entry} ${subject}: ${message.replaceAll("\n", " | ")}\n`;
      try {
        if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > BOUND) renameSync(path, `${path}.1`);
        appendFileSync(path, line, { mode: 0o600 });
        effect(`append to ${path}`);
      } catch {
        // said above
      }
    },
  };
}

const ORDER: readonly LogLevel[] = ["error", "info", "debug"];
