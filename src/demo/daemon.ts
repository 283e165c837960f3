import type { Node } from "../testbed/node.ts";
import type { Program } from "../testbed/program.ts";
import { PODVPN } from "./lab.ts";

/**
 * Starts a command of ours that runs for as long as its machine.
 * Not by a pipe to us: a demo that is kept outlives us, and the daemon must go on writing. tail(1) is only the reader.
 * @param call What stands behind `podvpn`, for a shell. @param log Where it writes, on the machine.
 * @returns What reads its log.
 */
export function startDaemon(machine: Node, call: string, log: string): Program {
  // Out of a shell that ends, so that process 1 reaps it: as a child of tail(1) it would never be gone.
  const script = `pid=$(${PODVPN} ${call} </dev/null >${log} 2>&1 & echo $!); exec tail --pid=$pid -n +1 -F ${log}`;
  return machine.spawn(["sh", "-c", script]);
}
