import { AGENT_SOCKET, askStatus } from "../agent/ask.ts";
import type { AgentStatus, PeerStatus } from "../agent/status.ts";
import { eventually, NotInTime } from "./eventually.ts";
import type { Node } from "./node.ts";

/** What the agent of a node tells of itself; undefined when none runs. @throws Fault 5 when it does not answer. */
export function agentStatus(node: Node): Promise<AgentStatus | undefined> {
  return askStatus(node.path(AGENT_SOCKET));
}

/**
 * Waits until the agent of a node tells what is waited for.
 * @param what In words, for the error. @param bound Milliseconds on a machine of usual speed.
 * @throws NotInTime, with the problems that the agent told of last.
 */
export async function agentTells(
  node: Node,
  what: string,
  condition: (status: AgentStatus) => boolean,
  bound = 40_000,
): Promise<void> {
  let last: AgentStatus | undefined;
  try {
    await eventually(`${node.name}: ${what}`, bound, async () => {
      last = await agentStatus(node).catch(() => undefined); // one that is busy answers too late
      return last !== undefined && condition(last);
    });
  } catch (error) {
    if (!(error instanceof NotInTime)) throw error;
    const told =
      last === undefined ? "does not run, or does not answer" : `tells: ${last.problems.join("; ") || "no problem"}`;
    throw new NotInTime(`${error.message}; its agent ${told}`, { cause: error });
  }
}

/** Waits until each of these nodes has all others up. @throws NotInTime as {@link agentTells}. */
export async function agentsJoined(nodes: readonly Node[]): Promise<void> {
  for (const node of nodes) {
    const others = nodes.filter((other) => other !== node).map(({ name }) => name);
    await agentTells(node, `${others.join(" and ")} up`, ({ peers }) => others.every(isUp(peers)));
  }
}

function isUp(peers: readonly PeerStatus[]): (name: string) => boolean {
  return (name) => peers.some((peer) => peer.name === name && peer.state === "up");
}

/** Signals the agent of a node, and nothing that it started. @throws Error when none runs. */
export async function signalAgent(node: Node, signal: "SIGTERM" | "SIGKILL" | "SIGHUP"): Promise<void> {
  const pid = (await agentStatus(node))?.node.pid;
  if (pid === undefined) throw new Error(`no agent runs on ${node.name}`);
  await node.exec(["kill", `-${signal}`, String(pid)]);
}
