import type { AgentStatus } from "../../agent/status.ts";
import { type Finding, findingsOf, quoted } from "../finding.ts";
import type { AgentFacts } from "../gather/agent.ts";

const { ok, none, warning, bad } = findingsOf("agent");

const START = { command: "systemctl start podvpn" };
const RESTART = { command: "systemctl restart podvpn" };

/** The node's agent, its registry, and podvpn's own records. Pure. @param damage Records that cannot be read. */
export function checkAgent(facts: AgentFacts, damage: readonly string[]): Finding[] {
  return [...ofAgent(facts), ...damage.map(damaged)];
}

function ofAgent(facts: AgentFacts): Finding[] {
  const { isExpected, configFile, configTrouble, forecastTrouble, status, silence } = facts;
  if (!isExpected) return [none(`there is no ${configFile}: this node has no agent, and needs none`)];
  const config =
    configTrouble === undefined ? [] : [bad(configTrouble.what, { remedy: `${configTrouble.remedy} (${configFile})` })];
  if (silence !== undefined) return [...config, bad(`the agent runs, and does not answer: ${silence.what}`, RESTART)];
  if (status !== undefined) return [...config, ...running(status)];
  const why = "no agent runs: peers that come, go, move or die are not noticed";
  const unread = forecastTrouble === undefined ? [] : [bad(forecastTrouble.what, { remedy: forecastTrouble.remedy })];
  return [...config, bad(why, START), ...unread];
}

function running(status: AgentStatus): Finding[] {
  const { node, registry, drivers, unreachable } = status;
  const findings = [
    ...registryFindings(status),
    ...drivers.flatMap(({ name, error }) =>
      error === undefined ? [] : [bad(`the driver ${name} fails (${error.failures} times): ${error.what}`, RESTART)],
    ),
    ...unreachable.map(({ name, reason }) =>
      bad(`${name} cannot be reached: ${reason}`, { remedy: `correct agent.yaml here or on ${name}` }),
    ),
  ];
  const what = `${node.name}: agent ${node.version} answers (process ${node.pid}), ${registry.nodes} nodes in ${registry.where}`;
  return [ok(what), ...findings];
}

function registryFindings({ node, registry }: AgentStatus): Finding[] {
  const { where, error, publishError, version, refusals } = registry;
  return [
    ...(error === undefined
      ? []
      : [bad(`the registry in ${where} cannot be read: ${error}`, { remedy: `mount ${where}, or make it readable` })]),
    ...(publishError === undefined
      ? []
      : [bad(`this node's record is not there: ${publishError}`, { remedy: `make ${where} writable for root` })]),
    ...(version === undefined && error === undefined
      ? [warning(`the registry in ${where} was not read yet`, RESTART)]
      : []),
    ...refusals.map((refusal) => refused(refusal, node.name, where)),
  ];
}

/** A file whose node still counts must not go: that would be its leave. */
function refused(
  { where: at, name, what, remedy, kept }: AgentStatus["registry"]["refusals"][number],
  own: string,
  directory: string,
): Finding {
  const file = fileOf(at, directory);
  const text = `${at}: ${what}`;
  if (name === own) return bad(`${text}; this node is not told to others as it is`, RESTART);
  if (kept) {
    const who = name ?? "its node";
    return bad(`${text}; what ${who} was before goes on to count`, { remedy: `run on ${who}: ${RESTART.command}` });
  }
  if (!/\.ya?ml$/.test(file)) return warning(text, { remedy });
  const command = `mv ${quoted(file)} ${quoted(`${file}.refused`)}`;
  return bad(`${text}; it does not count`, { command, remedy });
}

/** `nodes/n1.yaml:7` is line 7 of that file. */
function fileOf(where: string, directory: string): string {
  const file = where.replace(/:\d+$/, "");
  return file.startsWith("/") ? file : `${directory}/${file}`;
}

function damaged(what: string): Finding {
  const [, file] = /^(\/run\/podvpn\/\S+) is not a record/.exec(what) ?? [];
  if (file === undefined) return bad(what, { remedy: "see that the file system is healthy" });
  return bad(`${what}: what it tells of is not looked after`, { command: `rm ${quoted(file)}` });
}
