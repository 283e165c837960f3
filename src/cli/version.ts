import { parseArgs } from "node:util";
import { version } from "../programs.ts";
import type { Terminal } from "./command.ts";

export const help = `
Usage: podvpn version [--verbose]

  --verbose  also Node.js and the native parts, loaded, with their files
`;

/** Loading the native parts shows on a new node, before the first pod, that there is a directory fit for them. */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { verbose: { type: "boolean" } } });
  terminal.stdout(`podvpn ${version}\n`);
  if (!values.verbose) return 0;
  const { addonOrigin } = await import("../os/addon.ts");
  terminal.stdout(`node ${process.versions.node}\n`);
  for (const name of ["netlink", "koffi"] as const) terminal.stdout(`${name} ${addonOrigin(name)}\n`);
  return 0;
}
