import { isObject } from "../config/hub-item.ts";
import { Code, Fault } from "../fault.ts";
import { askHttp } from "../os/http.ts";
import { SocketFault } from "../os/unix-socket.ts";
import type { AgentStatus } from "./status.ts";

/** Over which root asks the node's agent. */
export const AGENT_SOCKET = "/run/podvpn/agent/socket";

/** Milliseconds. */
const ANSWER = 10_000;

/** The status of the node's agent; undefined when none runs. @throws Fault 5 when it does not answer. */
export async function askStatus(socket = AGENT_SOCKET): Promise<AgentStatus | undefined> {
  const answer = await ask(socket, "GET", "/v1/status");
  // The other end of this socket is podvpn itself: of the same version, or of one that has these keys as well.
  return answer === undefined ? undefined : (answer.body as AgentStatus);
}

/** Has the node's agent change its keys. @returns What it does now, in words. @throws Fault when it cannot. */
export async function askRotation(socket = AGENT_SOCKET): Promise<string> {
  const answer = await ask(socket, "POST", "/v1/rotate");
  if (answer === undefined) {
    throw new Fault(Code.notAvailable, "no agent runs on this node", "start it: systemctl start podvpn");
  }
  const { status, body } = answer;
  if (!isObject(body)) throw malformed();
  if (status === 202) return String(body.rotation);
  throw new Fault(Number(body.code ?? Code.internal), String(body.what), String(body.remedy));
}

/** Nobody listens, or who did has just ended. */
const GONE: readonly string[] = ["ENOENT", "ECONNREFUSED", "ENOTDIR", "ECONNRESET", "EPIPE"];

async function ask(
  socket: string,
  method: "GET" | "POST",
  path: string,
): Promise<{ readonly status: number; readonly body: unknown } | undefined> {
  try {
    const { status, body } = await askHttp(socket, { method, path }, ANSWER);
    return { status, body: parseJson(body) };
  } catch (error) {
    if (error instanceof SocketFault && GONE.includes(error.errno)) return undefined;
    if (error instanceof SocketFault && error.errno.startsWith("HPE_")) throw malformed();
    throw error;
  }
}

function parseJson(text: string): unknown {
  try {
    const body: unknown = JSON.parse(text);
    return body;
  } catch {
    throw malformed();
  }
}

function malformed(): Fault {
  return new Fault(Code.io, "podvpn's agent does not answer as it should", "restart it: systemctl restart podvpn");
}
