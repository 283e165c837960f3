import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { askRotation, askStatus } from "../../../src/agent/ask.ts";
import { type AgentQueries, privateAnswer } from "../../../src/agent/http/routes.ts";
import { rotationOutcome } from "../../../src/agent/rotation-outcome.ts";
import { Code, Fault } from "../../../src/fault.ts";
import { serveHttp } from "../../../src/os/http.ts";
import { STATUS } from "./http/status.ts";

let directory: string;
let socket: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "podvpn-ask-"));
  socket = join(directory, "socket");
});
afterEach(() => rmSync(directory, { recursive: true }));

function served(rotate: AgentQueries["rotate"]) {
  const queries = {
    status: async () => STATUS,
    metrics: async () => [],
    unhealthy: () => [],
    unready: () => [],
    rotate,
  };
  return serveHttp(
    { socket },
    (request) => privateAnswer(request, queries),
    () => undefined,
  );
}

describe("whoever asks the node's agent", () => {
  test("gets its status", async () => {
    await using _server = await served(async () => "");
    expect(await askStatus(socket)).toEqual(STATUS);
  });

  test("hears that none runs", async () => {
    expect(await askStatus(socket)).toBeUndefined();
    await expect(askRotation(socket)).rejects.toMatchObject({ code: Code.notAvailable });
  });

  test("hears what a rotation does, or why there is none", async () => {
    {
      await using _server = await served(async () => "has begun");
      expect(await askRotation(socket)).toBe("has begun");
    }
    await using _server = await served(() => Promise.reject(new Fault(Code.tryAgainLater, "n2 rotates", "wait")));
    await expect(askRotation(socket)).rejects.toMatchObject({ code: 11, what: "n2 rotates", remedy: "wait" });
  });

  test("takes nothing else for an answer", async () => {
    const server = createServer((client) => client.end("nonsense"));
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    await expect(askStatus(socket)).rejects.toMatchObject({ code: Code.io });
    server.close();
  });
});

describe("how far a rotation is", () => {
  const withKey = (wireguard: string) => ({ ...STATUS, node: { ...STATUS.node, publicKeys: { wireguard } } });

  test("is what it waits for, as long as it goes on", () => {
    const rotation = { startedAt: "", waitsFor: "n2 to take the next key" };
    expect(rotationOutcome(STATUS, { ...STATUS, rotation })).toMatchObject({
      isOver: false,
      text: "waits for n2 to take the next key",
    });
    expect(rotationOutcome(STATUS, undefined)).toMatchObject({ isOver: false });
  });

  test("is done when the keys are others, and given up when they are not", () => {
    expect(rotationOutcome(STATUS, withKey("another"))).toMatchObject({ isOver: true, isDone: true });
    expect(rotationOutcome(STATUS, STATUS)).toMatchObject({ isOver: true, isDone: false });
  });
});
