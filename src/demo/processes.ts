import type { Node } from "../testbed/node.ts";

/** tail(1) looks every 10 ms whether the process is gone: SIGKILL is not the end yet. */
const KILL = 'for pid in "$@"; do kill -KILL "$pid"; timeout 5 tail --pid="$pid" -s 0.01 -f /dev/null; done';

/** Kills processes of a node, and returns when they have gone. @param pids As the node knows them. @throws Fault 5. */
export async function killProcesses(node: Node, pids: readonly string[]): Promise<void> {
  await node.exec(["sh", "-ec", KILL, "sh", ...pids]);
}
