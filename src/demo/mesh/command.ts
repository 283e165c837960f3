import type { Node } from "../../testbed/node.ts";
import { PODVPN } from "../lab.ts";
import type { Say } from "../story.ts";

/** What an operator's command said. */
export interface Said {
  readonly code: number | null;
  readonly text: string;
}

/** Runs a command of `podvpn` on a node as an operator does, at a terminal, without colours. */
export async function operate(node: Node, call: string): Promise<Said> {
  const argv = ["script", "-qec", `${PODVPN} ${call}`, "/dev/null"] as const;
  const { code, stdout } = await node.exec(argv, { check: false, env: { NO_COLOR: "1" }, timeout: 120_000 });
  return { code, text: stdout.replaceAll("\r", "").trimEnd() };
}

/** Shows a command with all that it said. */
export function tellSaid(say: Say, node: Node, call: string, { code, text }: Said): void {
  say(`\n${node.name}# podvpn ${call}\n${text}\n[exit status ${code}]`);
}
