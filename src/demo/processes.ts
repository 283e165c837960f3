import type { Node } from "../testbed/node.ts";

/** tail(1) looks every 10 ms whether the process is gone: a signal is not the end yet. */
const END =
  'signal=$1; shift; for pid in "$@"; do kill "-$signal" "$pid"; timeout 5 tail --pid="$pid" -s 0.01 -f /dev/null; done';

/** Kills processes of a node, and returns when they have gone. @param pids As the node knows them. @throws Fault 5. */
export function killProcesses(node: Node, pids: readonly string[]): Promise<void> {
  return endProcesses(node, pids, "KILL");
}

/** Has processes of a node end themselves, and returns when they have. @param pids As the node knows them. @throws Fault 5. */
export function stopProcesses(node: Node, pids: readonly string[]): Promise<void> {
  return endProcesses(node, pids, "TERM");
}

async function endProcesses(node: Node, pids: readonly string[], signal: "KILL" | "TERM"): Promise<void> {
  await node.exec(["sh", "-ec", END, "sh", signal, ...pids]);
}
