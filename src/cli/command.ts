/** Where a command writes. Returns when all is written. */
export interface Terminal {
  stdout(text: string): void;
  stderr(text: string): void;
}

/** What the module of a command exports. */
export interface CommandModule {
  /** Printed by `podvpn <command> --help`; lines of at most 80 columns. */
  readonly help: string;
  /**
   * @param args What follows the command's name.
   * @returns The exit status. @throws Fault for what an operator can mend, UsageError for wrong arguments.
   */
  run(args: readonly string[], terminal: Terminal): Promise<number>;
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
