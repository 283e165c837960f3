import { Fault } from "../../fault.ts";
import type { HttpAnswer, HttpRequest } from "../../os/http.ts";
import type { AgentStatus } from "../status.ts";
import { EXPOSITION_TYPE, expositionText, type Metric } from "./exposition.ts";

/** What can be asked of an agent. */
export interface AgentQueries {
  status(): Promise<AgentStatus>;
  metrics(): Promise<readonly Metric[]>;
  /** Why it should be started anew; none when all is well. */
  unhealthy(): readonly string[];
  /** Why it is not ready; none when it is. */
  unready(): readonly string[];
  /** Begins to change this node's keys. @returns What happens now, in words. @throws Fault. */
  rotate(): Promise<string>;
}

const TEXT = "text/plain; charset=utf-8";
const JSON_TYPE = "application/json";

/** For everybody who can reach the address: nothing that changes anything, and no addresses of peers. */
export async function publicAnswer({ method, path }: HttpRequest, agent: AgentQueries): Promise<HttpAnswer> {
  const paths = ["/metrics", "/healthz", "/readyz"];
  if (!paths.includes(path)) return { status: 404, type: TEXT, body: `there are ${paths.join(", ")}\n` };
  if (method !== "GET" && method !== "HEAD") return { status: 405, type: TEXT, body: "ask with GET\n" };
  if (path === "/metrics") return { status: 200, type: EXPOSITION_TYPE, body: expositionText(await agent.metrics()) };
  return check(path === "/healthz" ? agent.unhealthy() : agent.unready());
}

/** For root, over the socket of the file system. */
export async function privateAnswer({ method, path }: HttpRequest, agent: AgentQueries): Promise<HttpAnswer> {
  if (path === "/v1/status" && method === "GET") return json(200, await agent.status());
  if (path === "/v1/rotate" && method === "POST") {
    try {
      return json(202, { rotation: await agent.rotate() });
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return json(409, { code: error.code, what: error.what, remedy: error.remedy });
    }
  }
  if (path === "/v1/status" || path === "/v1/rotate") return { status: 405, type: TEXT, body: "wrong method\n" };
  return publicAnswer({ method, path }, agent);
}

function check(reasons: readonly string[]): HttpAnswer {
  if (reasons.length === 0) return { status: 200, type: TEXT, body: "ok\n" };
  return { status: 503, type: TEXT, body: reasons.map((reason) => `${reason}\n`).join("") };
}

function json(status: number, value: object): HttpAnswer {
  return { status, type: JSON_TYPE, body: `${JSON.stringify(value)}\n` };
}
