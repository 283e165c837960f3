import type { LogLevel } from "../os/log.ts";

/** Writes one line of the hub's own log. */
export type Journal = (level: LogLevel, message: string) => void;

const ORDER: readonly LogLevel[] = ["error", "info", "debug"];

/** One line each: time, level, message. @param level The most that is written. @param write Gets the line, ended. */
export function journal(level: LogLevel, write: (text: string) => void): Journal {
  return (entry, message) => {
    if (ORDER.indexOf(entry) > ORDER.indexOf(level)) return;
    write(`${new Date().toISOString()} ${entry} ${printable(message)}\n`);
  };
}

/** Identities come from whoever connects: what would end the line, or move a terminal's cursor, is shown as its code. */
function printable(message: string): string {
  return message.replaceAll(/[\p{Cc}\u2028\u2029]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}
