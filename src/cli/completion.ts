import { parseArgs } from "node:util";
import { type Command, type Form, type Terminal, UsageError } from "./command.ts";

export const help = `
Usage: podvpn completion bash | zsh | fish

Prints a script by which the shell completes podvpn's commands, their options,
and what stands behind these: files, directories, network interfaces. It is made
of what the commands parse their arguments by: sourced when a shell starts, it
cannot be out of date.

Exit status:
  0  printed

Files:
  ~/.bashrc, ~/.zshrc, ~/.config/fish/config.fish
      where the lines below go, for one user
  /etc/bash_completion.d/podvpn
      for all users of bash; to be written anew after an update

Examples:
  source <(podvpn completion bash)
  source <(podvpn completion zsh)    # behind compinit
  podvpn completion fish | source
`;

const SHELLS = ["bash", "zsh", "fish"] as const;

export const forms: readonly Form[] = [{ options: {}, operands: SHELLS }];

export async function run(args: readonly string[], terminal: Terminal, table: readonly Command[]): Promise<number> {
  const { positionals } = parseArgs({ args: [...args], options: {}, allowPositionals: true });
  const shell = SHELLS.find((known) => known === positionals[0]);
  if (shell === undefined || positionals.length > 1) throw new UsageError(`give one of ${SHELLS.join(", ")}`);
  const { commandSpecs } = await import("./shells/spec.ts");
  terminal.stdout((await rendererOf(shell))(await commandSpecs(table)));
  return 0;
}

async function rendererOf(shell: (typeof SHELLS)[number]) {
  if (shell === "bash") return (await import("./shells/bash.ts")).bashCompletion;
  if (shell === "zsh") return (await import("./shells/zsh.ts")).zshCompletion;
  return (await import("./shells/fish.ts")).fishCompletion;
}
