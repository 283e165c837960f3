/** Where a command writes. Returns when all is written. */
export interface Terminal {
  stdout(text: string): void;
  stderr(text: string): void;
}

/** What stands behind an option, or by itself: what a shell can complete. A list has all that may stand there. */
export type ValueKind = "file" | "directory" | "interface" | readonly string[];

/** An option as node:util's parseArgs takes it. */
export interface Option {
  readonly type: "string" | "boolean";
  readonly multiple?: boolean;
  readonly default?: string | boolean | string[];
  /** Of a string; absent: any text. */
  readonly value?: ValueKind;
}

/** Options by their names, without the dashes: the same object is what the command parses by. */
export type Options = Readonly<Record<string, Option>>;

/** One way to call a command: most have one, `podvpn hub leases` is another one of `podvpn hub`. */
export interface Form {
  /** The word behind the command's name; absent: there is none. */
  readonly word?: string;
  readonly options: Options;
  /** What may stand there without an option. */
  readonly operands?: ValueKind;
}

/** What the module of a command exports. */
export interface CommandModule {
  /**
   * Printed by `podvpn <command> --help`, and what docs/cli is made of: a manual page in the form that
   * {@link ./manual.ts} reads, in lines of at most 80 columns.
   */
  readonly help: string;
  /** All ways to call it. */
  readonly forms: readonly Form[];
  /**
   * @param args What follows the command's name. @param table All commands.
   * @returns The exit status. @throws Fault for what an operator can mend, UsageError for wrong arguments.
   */
  run(args: readonly string[], terminal: Terminal, table: readonly Command[]): Promise<number>;
}

/** A line of the table of commands. */
export interface Command {
  readonly name: string;
  /** One line, at most 60 columns. */
  readonly summary: string;
  load(): Promise<CommandModule>;
}

/** Wrong arguments: exit status 2, and where to find help. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
