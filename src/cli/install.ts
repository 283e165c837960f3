import { resolve } from "node:path";
import { parseArgs } from "node:util";
import {
  copyExecutable,
  isEqualFile,
  isSameFile,
  linkExecutable,
  ownExecutable,
  prepareDirectory,
} from "../os/executable.ts";
import { type Program, programs } from "../programs.ts";
import type { Form, Options, Terminal } from "./command.ts";

/** Where runtimes look when nothing else is configured. */
export const DEFAULT_BIN_DIRECTORY = "/opt/cni/bin";

export const help = `
Usage: podvpn install [--bin-dir DIR] [--dry-run]

Puts this executable into the directory from which the container runtime takes
its CNI plugins, once, under all its names: ${programs.join(", ")}.
Safe while plugins run; what is in place already is left alone. A newer version
is put over an older one in the same way: pods that are attached notice nothing.

Options:
  --bin-dir DIR  the runtime's directory (${DEFAULT_BIN_DIRECTORY})
  --dry-run      only say what would be done

Exit status:
  0  all names are in place (with --dry-run: nothing is in the way)
  1  something could not be written

Files:
  ${DEFAULT_BIN_DIRECTORY}    where runtimes look when nothing else is configured
  /etc/cni/net.d  where the networks are configured: not written by podvpn

Examples:
  podvpn install
  podvpn install --bin-dir /usr/lib/cni --dry-run
`;

const OPTIONS = {
  "bin-dir": { type: "string", default: DEFAULT_BIN_DIRECTORY, value: "directory" },
  "dry-run": { type: "boolean" },
} satisfies Options;

export const forms: readonly Form[] = [{ options: OPTIONS }];

export type InstallStep = { readonly do: "copy" | "link"; readonly program: Program };

/**
 * @param current Whether the directory's `podvpn` is this very version.
 * @param linked The names that are hard links of it already.
 */
export function planInstall(current: boolean, linked: readonly Program[]): InstallStep[] {
  const [first, ...others] = programs;
  const copy: InstallStep[] = current ? [] : [{ do: "copy", program: first }];
  // A new file at the first name leaves the other names with the old one.
  const missing = others.filter((program) => !current || !linked.includes(program));
  return [...copy, ...missing.map((program): InstallStep => ({ do: "link", program }))];
}

export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  const source = ownExecutable();
  const directory = resolve(values["bin-dir"]);
  const dryRun = values["dry-run"] === true;
  if (!dryRun) prepareDirectory(directory);
  const first = `${directory}/${programs[0]}`;
  const current = isEqualFile(source, first);
  const steps = planInstall(
    current,
    programs.filter((program) => isSameFile(first, `${directory}/${program}`)),
  );
  for (const step of steps) {
    const target = `${directory}/${step.program}`;
    if (!dryRun) step.do === "copy" ? copyExecutable(source, target) : linkExecutable(first, target);
    terminal.stdout(`${dryRun ? "would " : ""}${step.do} ${target}\n`);
  }
  if (steps.length === 0) terminal.stdout(`${directory} is up to date\n`);
  return 0;
}
