import { type LogLevel, openLog } from "../os/log.ts";

/** What an entry tells besides its message; what is undefined is left out. */
export type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Writes one line. */
export type AgentJournal = (level: LogLevel, message: string, fields?: Fields) => void;

/** Where lines go. */
export interface JournalOptions {
  readonly level: LogLevel;
  /** In place of `write`. */
  readonly file?: string;
  /** Gets each line, ended. */
  readonly write: (text: string) => void;
}

const ORDER: readonly LogLevel[] = ["error", "info", "debug"];

/** A journal in logfmt: `time=… level=info msg="peer is up" peer=n2`. A file has time and level in front of it. */
export function agentJournal({ level: most, file, write }: JournalOptions): AgentJournal {
  const log = openLog(file, most, "agent");
  return (level, message, fields = {}) => {
    if (ORDER.indexOf(level) > ORDER.indexOf(most)) return;
    const line = logfmt({ msg: message, ...fields });
    if (file !== undefined) log.write(level, line);
    else write(`time=${new Date().toISOString()} level=${level} ${line}\n`);
  };
}

/** `key=value` for each, in quotes where a space, a quote or an equals sign would make it ambiguous. Pure. */
export function logfmt(fields: Fields): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${quoted(String(value))}`)
    .join(" ");
}

/** What would end the line, or move a terminal's cursor, is shown as its code. */
function quoted(text: string): string {
  const isPlain = /^[^\s"=\\\p{Cc}\u2028\u2029]+$/u.test(text);
  return isPlain ? text : JSON.stringify(text).replaceAll(/[\p{Cc}\u2028\u2029]/gu, escaped);
}

function escaped(character: string): string {
  return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`;
}
