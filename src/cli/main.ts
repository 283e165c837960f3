import { nearest } from "../config/nearest.ts";
import { Fault } from "../fault.ts";
import { type Command, type Terminal, UsageError } from "./command.ts";
import { commands } from "./commands.ts";

/**
 * `podvpn <command> …`.
 * @returns The exit status: 0 done, 1 a fault (two lines on standard error: what, remedy), 2 wrong arguments.
 */
export async function main(args: readonly string[], terminal: Terminal, table = commands): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined) {
    terminal.stderr(overview(table));
    return 2;
  }
  if (name === "--help" || name === "-h" || name === "help") return help(rest[0], terminal, table);
  const command = find(name === "--version" ? "version" : name, table);
  if (command === undefined) return unknown(name, terminal, table);
  const module = await command.load();
  if (rest.includes("--help") || rest.includes("-h")) {
    terminal.stdout(`${module.help.trim()}\n`);
    return 0;
  }
  return guarded(command.name, () => module.run(rest, terminal, table), terminal);
}

async function guarded(name: string, run: () => Promise<number>, terminal: Terminal): Promise<number> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof Fault) {
      terminal.stderr(`podvpn ${name}: ${error.what}\n${error.remedy}\n${error.details ? `${error.details}\n` : ""}`);
      return 1;
    }
    const usage = usageMessage(error);
    if (usage === undefined) throw error;
    terminal.stderr(`podvpn ${name}: ${usage}\nsee "podvpn ${name} --help"\n`);
    return 2;
  }
}

/** Of node:util's parseArgs the first sentence: the rest explains how to write the program. */
function usageMessage(error: unknown): string | undefined {
  if (error instanceof UsageError) return error.message;
  if (!(error instanceof TypeError) || !("code" in error)) return undefined;
  return String(error.code).startsWith("ERR_PARSE_ARGS") ? error.message.split(". ")[0] : undefined;
}

async function help(name: string | undefined, terminal: Terminal, table: readonly Command[]): Promise<number> {
  if (name === undefined) {
    terminal.stdout(overview(table));
    return 0;
  }
  const command = find(name, table);
  if (command === undefined) return unknown(name, terminal, table);
  terminal.stdout(`${(await command.load()).help.trim()}\n`);
  return 0;
}

function overview(table: readonly Command[]): string {
  const width = Math.max(...table.map(({ name }) => name.length)) + 2;
  const lines = table.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}`);
  return [
    "podvpn: CNI plugins that give every pod an encrypted network",
    "",
    "Usage: podvpn <command> [options]",
    "",
    ...lines,
    "",
    "podvpn <command> --help tells more.",
    "",
  ].join("\n");
}

function unknown(name: string, terminal: Terminal, table: readonly Command[]): number {
  const names = table.map((command) => command.name);
  const guess = nearest(name, names);
  const remedy = guess === undefined ? `the commands are ${names.join(", ")}` : `did you mean "podvpn ${guess}"?`;
  terminal.stderr(`podvpn: there is no command "${name}"\n${remedy}\n`);
  return 2;
}

function find(name: string, table: readonly Command[]): Command | undefined {
  return table.find((command) => command.name === name);
}
