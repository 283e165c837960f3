import type { Driver } from "../../registry/node-record.ts";
import { agentStatus, agentTells } from "../../testbed/agents.ts";
import type { Node } from "../../testbed/node.ts";
import type { Program } from "../../testbed/program.ts";
import { SHARED_DIRECTORY } from "../../testbed/shared.ts";
import type { Testbed } from "../../testbed/testbed.ts";
import { startDaemon } from "../daemon.ts";
import { addMachine, addPod, type DemoPod } from "../lab.ts";
import { MESH, type MeshKind } from "./kind.ts";

/** Where all nodes have the registry. */
export const REGISTRY = `${SHARED_DIRECTORY}/mesh`;
const CONFIGURATION = "/etc/podvpn/agent.yaml";
const LOG = "/run/agent.log";

/** A node of the mesh. */
export interface Member {
  readonly node: Node;
  /** Of its pod. */
  readonly pod: string;
  readonly kind: MeshKind;
}

/** A machine that is to be a node, with what its agent will be told, and without an agent. @param index From 1. */
export async function addMember(testbed: Testbed, executable: string, kind: MeshKind, index: number): Promise<Member> {
  const letter = String.fromCodePoint(96 + index);
  const name = `node-${letter}`;
  const node = await addMachine(testbed, executable, { name, address: `10.9.0.${index}` });
  await node.writeFile(CONFIGURATION, [`name: ${name}`, ...agentLines(kind.driver), ""].join("\n"));
  return { node, pod: `${letter}1`, kind };
}

/** What every agent is told, beside its node's name. Pure. */
export function agentLines(driver: Driver): string[] {
  return [
    `network: [${MESH.map((prefix) => JSON.stringify(prefix)).join(", ")}]`,
    `registry: {directory: ${REGISTRY}}`,
    `drivers: [${driver}]`,
    "probe: {degradedLoss: 50}    # one machine plays all: answers may be late",
  ];
}

/** A node with an agent. */
export interface RunningAgent {
  readonly member: Member;
  /** What reads its log. */
  readonly log: Program;
}

/** Starts its agent. */
export function startAgent(member: Member): RunningAgent {
  return { member, log: startDaemon(member.node, `agent --config ${CONFIGURATION}`, LOG) };
}

/** The share of each prefix that its agent took. @throws NotInTime. */
export async function sharesOf({ node }: Member): Promise<readonly string[]> {
  await agentTells(node, "its share taken", ({ node: own }) => own.podPrefixes.length === MESH.length);
  return (await agentStatus(node))?.node.podPrefixes ?? [];
}

/** Adds its pod, as a container runtime does. @throws RuntimeError with the plugin's error. */
export async function addMemberPod(member: Member): Promise<DemoPod> {
  const conf = member.kind.configuration(await sharesOf(member));
  return addPod(await member.node.addPod(member.pod), conf);
}

/** The public key that its agent has now, in base64. */
export async function publicKeyOf({ node, kind }: Member): Promise<string> {
  return (await agentStatus(node))?.node.publicKeys[kind.driver] ?? "none";
}
