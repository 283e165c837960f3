import type { AgentConfig } from "../config/agent.ts";
import { Code, Fault } from "../fault.ts";
import { type HttpAddress, type HttpAnswer, type HttpRequest, type HttpServer, serveHttp } from "../os/http.ts";
import { type Lock, lockDirectory } from "../os/lock.ts";
import { version } from "../programs.ts";
import { Attempts } from "../together.ts";
import { Agent } from "./agent.ts";
import { AGENT_SOCKET } from "./ask.ts";
import { type ReadConfig, readAgentConfig, watchConfig } from "./config-file.ts";
import { textOf } from "./driver-keeper.ts";
import { leftoverDrivers, openDrivers } from "./drivers.ts";
import { privateAnswer, publicAnswer } from "./http/routes.ts";
import { type AgentJournal, agentJournal } from "./journal.ts";
import { AgentMemory } from "./memory.ts";
import { OwnIdentity } from "./own-identity.ts";
import { hasKeyOf } from "./own-record.ts";
import { agentParts, openRegistry } from "./parts.ts";

/** What an agent has while it runs: its lock and its socket. */
export const AGENT_DIRECTORY = AGENT_SOCKET.slice(0, AGENT_SOCKET.lastIndexOf("/"));

/** Milliseconds that an agent that is being stopped gets to end. */
const LOCK_WAIT = 5000;

/** How an agent is run. */
export interface ServiceOptions {
  readonly configFile: string;
  /** Gets each line of the log, ended, unless the configuration has a file for it. */
  readonly write: (text: string) => void;
  /** Ends it: everything that it made stays as it is. */
  readonly signal: AbortSignal;
  /** Calls back whenever the configuration is to be read anew, until disposed of. */
  readonly onReload: (reload: () => void) => Disposable;
}

/**
 * Runs the node's agent until `signal` aborts. A changed configuration is taken by a second agent in place of the first,
 * which adopts all that the first one made; a wrong one is refused with all its errors, and the first goes on.
 * @throws Fault for a configuration that is wrong at the start, and when the node has an agent already.
 */
export async function runService({ configFile, write, signal, onReload }: ServiceOptions): Promise<void> {
  let current = readAgentConfig(configFile);
  using _lock = await lockAgent();
  using memory = new AgentMemory();
  while (!signal.aborted) {
    const { config } = current;
    const log = agentJournal({ level: config.logLevel, write, ...(config.logFile && { file: config.logFile }) });
    const replaced = new AbortController();
    let next = current;
    const reload = async (isForced: boolean) => {
      const read = await reread(configFile, log);
      if (read === undefined || (!isForced && read.text === next.text)) return;
      next = read;
      replaced.abort();
    };
    using _changes = watchConfig(
      configFile,
      () => void reload(false),
      (error) => {
        log("error", "the configuration cannot be watched: send SIGHUP when it has changed", { error: textOf(error) });
      },
    );
    using _signals = onReload(() => void reload(true));
    log("info", "agent started", { version, node: config.name, pid: process.pid });
    await runAgent(config, memory, log, AbortSignal.any([signal, replaced.signal]));
    if (!signal.aborted) log("info", "configuration changed: it is taken over");
    else log("info", "agent stopped; tunnels and guards stay as they are");
    current = next;
  }
}

/** Holds the node's place for an agent. What an agent that was killed left behind does no harm. @throws Fault 11. */
export async function lockAgent(): Promise<Lock> {
  try {
    const lock = await lockDirectory(AGENT_DIRECTORY, { create: true, wait: LOCK_WAIT });
    if (lock !== undefined) return lock;
  } catch (error) {
    if (!(error instanceof Fault && error.code === Code.tryAgainLater)) throw error;
    throw new Fault(
      Code.tryAgainLater,
      "an agent runs on this node already",
      `see it with podvpn status, or end it (systemctl stop podvpn); fuser ${AGENT_SOCKET} names its process`,
      { cause: error },
    );
  }
  throw new TypeError("a directory that is made is locked");
}

/**
 * Takes the node out of the mesh for good: its record first, so that nobody sends to it any more, then its tunnels, and
 * their guards last. Keys stay. @throws Fault 11 while an agent runs.
 */
export async function leaveMesh(config: AgentConfig): Promise<void> {
  using _lock = await lockAgent();
  const identity = await OwnIdentity.read(config);
  await using registry = openRegistry(config, identity);
  const { nodes } = await registry.list();
  const own = nodes.find(({ name }) => name === config.name);
  if (own !== undefined && hasKeyOf(own, identity.knownKeys)) await registry.withdraw(config.name);
  const attempts = new Attempts();
  for (const driver of [...openDrivers(config, identity), ...leftoverDrivers(config)]) {
    await attempts.try(() => driver.remove());
    await attempts.try(async () => driver[Symbol.asyncDispose]());
  }
  attempts.finish("not all of this node's tunnels could be removed");
}

/** Undefined for one that cannot be taken, also because of its keys. */
async function reread(file: string, log: AgentJournal): Promise<ReadConfig | undefined> {
  try {
    const read = readAgentConfig(file);
    await OwnIdentity.ensure(read.config);
    return read;
  } catch (error) {
    const details = error instanceof Fault ? error.details?.trim().replaceAll(/\s*\n\s*/g, "; ") : undefined;
    log("error", "configuration refused, the one before goes on to count", { error: textOf(error), details });
    return undefined;
  }
}

async function runAgent(
  config: AgentConfig,
  memory: AgentMemory,
  log: AgentJournal,
  signal: AbortSignal,
): Promise<void> {
  await using parts = await agentParts(config, memory, log);
  const agent = new Agent(parts);
  await using servers = new AsyncDisposableStack();
  const serve = async (where: HttpAddress, answer: (request: HttpRequest, agent: Agent) => Promise<HttpAnswer>) => {
    const server = await served(where, (request) => answer(request, agent), log);
    if (server !== undefined) servers.use(server);
  };
  await serve({ socket: AGENT_SOCKET }, privateAnswer);
  if (config.metrics !== undefined) await serve(config.metrics, publicAnswer);
  await agent.run(signal);
}

/** Tunnels count for more than whoever wants to watch them: a port that is taken is told, and no more. */
async function served(
  where: HttpAddress,
  answer: (request: HttpRequest) => Promise<HttpAnswer>,
  log: AgentJournal,
): Promise<HttpServer | undefined> {
  const onError = (error: unknown) => log("error", "request failed", { error: textOf(error) });
  try {
    return await serveHttp(where, answer, onError);
  } catch (error) {
    log("error", "nobody can ask this agent", { error: textOf(error) });
    return undefined;
  }
}
