import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Code } from "../../../src/fault.ts";
import { askHttp, type HttpAddress, type HttpAnswer, type HttpRequest, serveHttp } from "../../../src/os/http.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "podvpn-http-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const LOOPBACK: HttpAddress = { address: "127.0.0.1", port: 0 };
const OK: HttpAnswer = { status: 200, type: "text/plain", body: "größe\n" };
const ok = async () => OK;

function ask(options: object): Promise<{ status: number | undefined; type: string | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(options, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const body = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode, type: response.headers["content-type"], body });
      });
    });
    sent.on("error", reject).end();
  });
}

describe("a server", () => {
  test("answers what it is asked for, without the query", async () => {
    const answer = vi.fn<(request: HttpRequest) => Promise<HttpAnswer>>(ok);
    await using server = await serveHttp(LOOPBACK, answer, () => undefined);
    const got = await ask({ host: "127.0.0.1", port: server.port, path: "/metrics?x=1" });
    expect(got).toEqual({ status: 200, type: "text/plain", body: "größe\n" });
    expect(answer).toHaveBeenCalledWith({ method: "GET", path: "/metrics" });
  });

  test("tells nobody why an answer failed, but its own side", async () => {
    const onError = vi.fn();
    await using server = await serveHttp(LOOPBACK, () => Promise.reject(new Error("secret")), onError);
    const got = await ask({ host: "127.0.0.1", port: server.port, path: "/" });
    expect(got).toMatchObject({ status: 500, body: "internal error\n" });
    expect(onError).toHaveBeenCalledOnce();
  });

  test("lives through whatever is no HTTP", async () => {
    const onError = vi.fn();
    await using server = await serveHttp(LOOPBACK, ok, onError);
    await new Promise<void>((resolve) => {
      const socket = connect({ host: "127.0.0.1", port: server.port ?? 0 }, () =>
        socket.end("\0\0\0 nonsense\r\n\r\n"),
      );
      socket
        .on("error", () => undefined)
        .on("close", () => resolve())
        .resume();
    });
    expect((await ask({ host: "127.0.0.1", port: server.port, path: "/" })).status).toBe(200);
    expect(onError).not.toHaveBeenCalled();
  });

  test("ends with its connections when it is disposed of", async () => {
    const server = await serveHttp(LOOPBACK, ok, () => undefined);
    const socket = connect({ host: "127.0.0.1", port: server.port ?? 0 });
    const closed = new Promise<void>((resolve) => socket.on("error", () => undefined).once("close", () => resolve()));
    await new Promise<void>((resolve) => socket.once("connect", resolve));
    socket.resume();
    await server[Symbol.asyncDispose]();
    await closed;
  });

  test("answers what it was asked before it ended", async () => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<HttpAnswer>();
    const server = await serveHttp(
      LOOPBACK,
      () => {
        asked.resolve();
        return answer.promise;
      },
      () => undefined,
    );
    const got = ask({ host: "127.0.0.1", port: server.port, path: "/" });
    await asked.promise;
    const ended = server[Symbol.asyncDispose]();
    answer.resolve(OK);
    expect((await got).body).toBe(OK.body);
    await ended;
  });

  test("names the port that is taken, and what to do", async () => {
    await using server = await serveHttp(LOOPBACK, ok, () => undefined);
    const taken = serveHttp({ address: "127.0.0.1", port: server.port ?? 0 }, ok, () => undefined);
    await expect(taken).rejects.toMatchObject({
      code: Code.io,
      what: `cannot listen on TCP port ${server.port} of 127.0.0.1 (EADDRINUSE)`,
    });
  });
});

describe("a server on a socket of the file system", () => {
  test("is its owner's alone, takes the place of one that was killed, and goes when it ends", async () => {
    const socket = join(directory, "socket");
    writeFileSync(socket, "left behind");
    const before = process.umask();
    {
      await using _server = await serveHttp({ socket }, ok, () => undefined);
      expect(statSync(socket).mode & 0o7777).toBe(0o600);
      expect(statSync(socket).isSocket()).toBe(true);
      expect((await ask({ socketPath: socket, path: "/" })).body).toBe("größe\n");
    }
    expect(process.umask()).toBe(before);
    expect(statSync(socket, { throwIfNoEntry: false })).toBeUndefined();
  });

  test("cannot be where there is no directory", async () => {
    const missing = serveHttp({ socket: join(directory, "no/socket") }, ok, () => undefined);
    await expect(missing).rejects.toMatchObject({ code: Code.io });
  });
});

describe("whoever asks a server on a socket of the file system", () => {
  test("gets an answer that takes its time, however long it is", async () => {
    const socket = join(directory, "socket");
    const body = "x".repeat(1_000_000);
    const slow = () => new Promise<HttpAnswer>((resolve) => setImmediate(() => resolve({ ...OK, body })));
    await using _server = await serveHttp({ socket }, slow, () => undefined);
    expect(await askHttp(socket, { method: "GET", path: "/x" }, 5000)).toEqual({
      status: 200,
      type: "text/plain",
      body,
    });
  });

  test("hears that nobody listens, or that nobody answers", async () => {
    const socket = join(directory, "socket");
    const ask = (timeout: number) => askHttp(socket, { method: "GET", path: "/" }, timeout);
    await expect(ask(5000)).rejects.toMatchObject({ errno: "ENOENT" });
    await using _server = await serveHttp(
      { socket },
      () => new Promise(() => undefined),
      () => undefined,
    );
    await expect(ask(100)).rejects.toMatchObject({ errno: "ETIMEDOUT" });
  });
});
