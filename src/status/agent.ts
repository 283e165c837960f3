import { askStatus } from "../agent/ask.ts";
import type { AgentStatus } from "../agent/status.ts";
import { listGuards } from "../node/guards.ts";
import { AGENT_NETWORK } from "../node/record.ts";
import { modifiedAt } from "../os/file.ts";
import { problemOf } from "./devices.ts";
import { within } from "./within.ts";

/** The node's agent: what it tells, or why it tells nothing. */
export type AgentView =
  | { readonly state: "running"; readonly status: AgentStatus }
  /** Somebody listens on its socket, and gives no answer. */
  | { readonly state: "silent"; readonly problem: string }
  /** There is a sign of one, but none runs. */
  | { readonly state: "stopped"; readonly problem: string };

/** Where the agent's configuration is unless it is told. */
export const AGENT_CONFIG = "/etc/podvpn/agent.yaml";

/** Milliseconds: one that hangs must not hide the rest of the node. */
const ANSWER = 5000;

/** Asks the node's agent. Undefined on a node that has none, and no trace of one. */
export async function viewAgent(): Promise<AgentView | undefined> {
  try {
    const status = await within(ANSWER, "podvpn's agent", askStatus());
    if (status !== undefined) return { state: "running", status };
  } catch (error) {
    return { state: "silent", problem: problemOf(error) };
  }
  const device = listGuards().find(({ network }) => network === AGENT_NETWORK)?.interface;
  return stoppedAgent(modifiedAt(AGENT_CONFIG) !== undefined, device);
}

/** What is to be said where no agent runs. Pure. @param device That an agent made. */
export function stoppedAgent(hasConfig: boolean, device: string | undefined): AgentView | undefined {
  if (device !== undefined) {
    const what = `no agent runs on this node, but its device ${device} is there: tunnels go on, and nobody looks after`;
    return {
      state: "stopped",
      problem: `${what} them; start it with "systemctl start podvpn", or leave the mesh with "podvpn agent --leave"`,
    };
  }
  if (!hasConfig) return undefined;
  const what = `no agent runs on this node, but there is ${AGENT_CONFIG}`;
  return { state: "stopped", problem: `${what}; start it with "systemctl enable --now podvpn"` };
}

/** Whether the agent runs and finds nothing wrong. Pure. */
export function isAgentHealthy(view: AgentView): boolean {
  return view.state === "running" && view.status.healthy;
}
