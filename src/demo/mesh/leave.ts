import { agentStatus } from "../../testbed/agents.ts";
import type { Node } from "../../testbed/node.ts";
import { diffSnapshots, type Snapshot } from "../../testbed/snapshot.ts";
import type { DemoPod } from "../lab.ts";
import { leftOf, type NodeSnapshots } from "../left.ts";
import { stopProcesses } from "../processes.ts";
import { operate } from "./command.ts";
import { REGISTRY, type RunningAgent } from "./member.ts";
import type { Seen } from "./steps.ts";

/** Removes the pods, stops the agents, takes the nodes out of the mesh, and looks for what is left. */
export async function leaveMesh(
  agents: readonly RunningAgent[],
  pods: readonly DemoPod[],
  before: NodeSnapshots,
): Promise<Seen> {
  for (const { pod, conf } of pods) {
    await pod.del(conf);
    await pod.remove();
  }
  const codes = await Promise.all(agents.map(leave));
  const left = [...(await Promise.all([...before].map(leftOn))).flat(), ...(await recordsLeft(agents))];
  const failed = codes.filter((code) => code !== 0).length;
  const seen = `${agents.length - failed} of ${agents.length} have left; left behind: ${left.join(", ") || "nothing"}`;
  return { seen, isRight: failed === 0 && left.length === 0 };
}

async function leave({ member: { node }, log }: RunningAgent): Promise<number | null> {
  const pid = (await agentStatus(node))?.node.pid;
  if (pid !== undefined) await stopProcesses(node, [String(pid)]);
  await log.stop();
  return (await operate(node, "agent --leave")).code;
}

async function leftOn([node, before]: readonly [Node, Snapshot]): Promise<string[]> {
  const differences = leftOf(diffSnapshots(before, await node.snapshot()));
  return differences.filter((line) => !KEPT.test(line)).map((line) => `${node.name} ${line}`);
}

/** Files of the nodes in the registry. */
async function recordsLeft([first]: readonly RunningAgent[]): Promise<string[]> {
  const { stdout } = (await first?.member.node.exec(["ls", `${REGISTRY}/nodes`])) ?? { stdout: "" };
  return stdout.split("\n").filter((name) => name !== "");
}

/** What stays of an agent: its keys, and what it had last of the registry; its log is the demo's. */
const KEPT = /^\+ files: \/(?:var\/lib\/podvpn\/mesh\/|run\/agent\.log|run\/podvpn\/)/;
