import { describe, expect, test, vi } from "vitest";
import { type AgentQueries, privateAnswer, publicAnswer } from "../../../../src/agent/http/routes.ts";
import { Code, Fault } from "../../../../src/fault.ts";
import { STATUS } from "./status.ts";

function agent(overrides: Partial<AgentQueries> = {}): AgentQueries {
  return {
    status: async () => STATUS,
    metrics: async () => [{ name: "podvpn_x", help: "X.", type: "gauge", samples: [{ value: 1 }] }],
    unhealthy: () => [],
    unready: () => [],
    rotate: async () => "has begun",
    ...overrides,
  };
}
const get = (path: string, method = "GET") => ({ method, path });

describe("for everybody an agent", () => {
  test("has metrics in Prometheus' text format", async () => {
    expect(await publicAnswer(get("/metrics"), agent())).toEqual({
      status: 200,
      type: "text/plain; version=0.0.4; charset=utf-8",
      body: "# HELP podvpn_x X.\n# TYPE podvpn_x gauge\npodvpn_x 1\n",
    });
  });

  test("says ok, or 503 with the reasons", async () => {
    const bad = agent({ unhealthy: () => ["stuck"], unready: () => ["one", "two"] });
    expect(await publicAnswer(get("/healthz"), agent())).toMatchObject({ status: 200, body: "ok\n" });
    expect(await publicAnswer(get("/readyz"), agent())).toMatchObject({ status: 200, body: "ok\n" });
    expect(await publicAnswer(get("/healthz"), bad)).toMatchObject({ status: 503, body: "stuck\n" });
    expect(await publicAnswer(get("/readyz"), bad)).toMatchObject({ status: 503, body: "one\ntwo\n" });
  });

  test("has nothing else, and changes nothing", async () => {
    const rotate = vi.fn();
    for (const path of ["/", "/v1/status", "/v1/rotate", "/metrics/x"]) {
      expect((await publicAnswer(get(path, "POST"), agent({ rotate }))).status).toBe(404);
    }
    expect((await publicAnswer(get("/metrics", "POST"), agent())).status).toBe(405);
    expect(rotate).not.toHaveBeenCalled();
  });
});

describe("for root an agent", () => {
  test("has its status as JSON", async () => {
    const answer = await privateAnswer(get("/v1/status"), agent());
    expect(answer).toMatchObject({ status: 200, type: "application/json" });
    expect(JSON.parse(answer.body)).toEqual(STATUS);
  });

  test("begins to change keys, or says why not", async () => {
    const busy = agent({ rotate: () => Promise.reject(new Fault(Code.tryAgainLater, "n2 rotates", "wait")) });
    expect(await privateAnswer(get("/v1/rotate", "POST"), agent())).toMatchObject({ status: 202 });
    const refused = await privateAnswer(get("/v1/rotate", "POST"), busy);
    expect([refused.status, JSON.parse(refused.body)]).toEqual([409, { code: 11, what: "n2 rotates", remedy: "wait" }]);
    expect((await privateAnswer(get("/v1/rotate"), agent())).status).toBe(405);
  });

  test("has what everybody has as well", async () => {
    expect((await privateAnswer(get("/healthz"), agent())).status).toBe(200);
  });
});
