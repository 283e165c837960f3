import { parseArgs } from "node:util";
import { version } from "../programs.ts";
import type { Form, Options, Terminal } from "./command.ts";

export const help = `
Usage: podvpn version [--verbose]

Prints the version of this executable.

Options:
  --verbose  also Node.js and the native parts, loaded, with their files: that
             shows on a new node, before the first pod, that there is a
             directory fit for them

Exit status:
  0  printed
  1  there is no directory for the native parts

Examples:
  podvpn version --verbose
`;

const OPTIONS = { verbose: { type: "boolean" } } satisfies Options;

export const forms: readonly Form[] = [{ options: OPTIONS }];

/** Loading the native parts shows on a new node, before the first pod, that there is a directory fit for them. */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  terminal.stdout(`podvpn ${version}\n`);
  if (!values.verbose) return 0;
  const { addonOrigin } = await import("../os/addon.ts");
  terminal.stdout(`node ${process.versions.node}\n`);
  for (const name of ["netlink", "koffi"] as const) terminal.stdout(`${name} ${addonOrigin(name)}\n`);
  return 0;
}
