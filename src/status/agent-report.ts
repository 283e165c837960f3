import type { AgentStatus, DriverStatus, PeerStatus, RefusalStatus } from "../agent/status.ts";
import { type AgentView, isAgentHealthy } from "./agent.ts";
import type { Paint } from "./paint.ts";
import { peersTable, sinceText } from "./peers-table.ts";
import { wrapped } from "./text.ts";

/** Columns in front of a value. */
const LABEL = 13;

/**
 * The agent for a terminal: the node, what it works with, what is wrong, and its peers. Pure.
 * @param now Milliseconds since 1970. @param width Columns to fit into; undefined shortens nothing.
 */
export function agentText(view: AgentView, now: number, width: number | undefined, paint: Paint): string {
  const line = (text: string, indent: number) => `${width === undefined ? text : wrapped(text, indent)}\n`;
  if (view.state !== "running") return line(`agent ${view.state}: ${view.problem}`, 2);
  const { status } = view;
  const field = (label: string, value: string) => line(`  ${label.padEnd(LABEL - 2)}${value}`, LABEL);
  const head = [
    line(headText(status, now), 2),
    ...fieldsOf(status, now, paint).map(([label, value]) => field(label, value)),
    ...complaintsOf(status).map((complaint) => line(`  ! ${complaint}`, 4)),
  ].join("");
  if (status.peers.length === 0) return `${head}\nno peers\n`;
  return `${head}\n${peersTable(status.peers, now, width, paint)}`;
}

/** The same for programs; `podvpn status --help` tells of the keys. Pure. */
export function agentObject(view: AgentView) {
  return view.state === "running" ? { state: view.state, ...view.status } : view;
}

/** What of it is not well, for the last line. Pure. */
export function agentConclusion(view: AgentView): string[] {
  if (isAgentHealthy(view)) return [];
  if (view.state !== "running") return ["the agent"];
  const { status } = view;
  const { peers, registry, problems, unreachable } = status;
  const bad = peers.filter(isComplaint).length;
  const refused = registry.refusals.length;
  const others = problems.length - bad - refused - unreachable.length;
  const found = [
    ...(bad === 0 ? [] : [`${bad} of ${counted(peers.length, "peer")}`]),
    ...(unreachable.length === 0 ? [] : [`${counted(unreachable.length, "node")} out of reach`]),
    ...(refused === 0 ? [] : [`${counted(refused, "refused record")}`]),
    ...(others <= 0 ? [] : [`${counted(others, "problem")} of the agent`]),
  ];
  return found.length === 0 ? ["the agent is not ready"] : found;
}

function headText({ node }: AgentStatus, now: number): string {
  const { name, site, gateway, version, pid, startedAt } = node;
  const where = `${site === undefined ? "" : ` in site ${site}`}${gateway ? ", gateway" : ""}`;
  return `node ${name}${where}: podvpn ${version}, agent for ${sinceText(startedAt, now)} (pid ${pid})`;
}

function fieldsOf(
  { node, registry, drivers, rotation }: AgentStatus,
  now: number,
  paint: Paint,
): [label: string, value: string][] {
  const { podPrefixes, addresses, underlay } = node;
  const { where, version, changedAt, nodes } = registry;
  const changed = changedAt === undefined ? "" : `, changed ${sinceText(changedAt, now)} ago`;
  const read = version === undefined ? "not read yet" : `${counted(nodes, "node")}, version ${version}${changed}`;
  const found: [string, string][] = [
    ["pods", podPrefixes.join(" ") || "-"],
    ["address", addresses.join(" ") || "-"],
    ["reached", [...underlay.private, ...underlay.public].join(" ") || "-"],
    ["registry", `${where}: ${read}`],
    ...drivers.map((driver): [string, string] => [driver.name, driverText(driver, paint)]),
  ];
  if (rotation === undefined) return found;
  return [...found, ["rotation", `for ${sinceText(rotation.startedAt, now)}, waits for ${rotation.waitsFor}`]];
}

/** Too short to be wrapped: so colours may be in it. */
function driverText({ state, dataPlane, peers, restarts }: DriverStatus, paint: Paint): string {
  return [
    paint(state),
    ...(dataPlane === undefined ? [] : [dataPlane === "kernel" ? "kernel" : "user space"]),
    ...(state === "unused" ? [] : [counted(peers, "peer")]),
    ...(restarts === 0 ? [] : [counted(restarts, "restart")]),
  ].join(", ");
}

/** All that is wrong, but for what is told of each peer below. */
function complaintsOf({ registry, peers, problems }: AgentStatus): string[] {
  const refusals = new Map(registry.refusals.map((refusal) => [`${refusal.where}: ${refusal.what}`, refusal]));
  const ofPeers = new Set(peers.filter(isComplaint).map(peerProblem));
  return problems
    .filter((problem) => !ofPeers.has(problem))
    .map((problem) => {
      const refusal = refusals.get(problem);
      return refusal === undefined ? problem : refusalText(problem, refusal);
    });
}

function refusalText(problem: string, { remedy, kept }: RefusalStatus): string {
  return `${problem}; ${remedy}${kept ? "; until then the record before it counts" : ""}`;
}

function isComplaint({ state }: PeerStatus): boolean {
  return state === "down" || state === "degraded";
}

/** As the agent has it among its problems. */
function peerProblem({ name, state, reason }: PeerStatus): string {
  return `${name} is ${state}${reason === undefined ? "" : `: ${reason}`}`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
