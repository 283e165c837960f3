import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { Code, Fault } from "../fault.ts";
import { SocketFault } from "./unix-socket.ts";

/** What somebody asks. */
export interface HttpRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
}

/** What is answered. */
export interface HttpAnswer {
  readonly status: number;
  /** Content-Type. */
  readonly type: string;
  readonly body: string;
}

/** Where to listen. */
export type HttpAddress =
  | { readonly address: string; readonly port: number }
  /** A stream socket of the file system, for root alone (0600). What an earlier process left there is replaced. */
  | { readonly socket: string };

/** A server that runs until it is disposed of: then it takes no more requests, and answers those that it has. */
export interface HttpServer extends AsyncDisposable {
  /** As the kernel gave it, where port 0 was asked for. */
  readonly port?: number;
}

/** Milliseconds that a client has for its request, headers and all. */
const REQUEST_WITHIN = 5000;
/** Milliseconds that answers which are under way get when the server ends. */
const LAST_ANSWERS = 500;
/** Open connections: more is an attack, or a client that forgets to close. */
const CONNECTIONS = 64;

/**
 * Answers HTTP requests. Bodies of requests are not read. An answer that fails is 500, without its reason: that is for
 * `onError`.
 * @throws Fault 5 when nothing can listen there.
 */
export async function serveHttp(
  where: HttpAddress,
  answer: (request: HttpRequest) => Promise<HttpAnswer>,
  onError: (error: unknown) => void,
): Promise<HttpServer> {
  const { createServer } = await import("node:http");
  const options = {
    requestTimeout: REQUEST_WITHIN,
    headersTimeout: REQUEST_WITHIN,
    connectionsCheckingInterval: REQUEST_WITHIN,
    keepAliveTimeout: REQUEST_WITHIN,
    maxHeaderSize: 8192,
  };
  const server = createServer(options, (request, response) => {
    answerTo(request, answer).then(
      (it) => write(response, it, request.method === "HEAD"),
      (error: unknown) => {
        onError(error);
        write(response, { status: 500, type: "text/plain; charset=utf-8", body: "internal error\n" }, false);
      },
    );
  });
  server.maxConnections = CONNECTIONS;
  await listening(server, where);
  server.on("error", onError);
  const bound = server.address();
  return {
    ...(bound !== null && typeof bound === "object" && { port: bound.port }),
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), LAST_ANSWERS);
      await closed;
      clearTimeout(timer);
    },
  };
}

function answerTo(
  request: IncomingMessage,
  answer: (request: HttpRequest) => Promise<HttpAnswer>,
): Promise<HttpAnswer> {
  request.resume(); // a body that nobody reads would hold the connection up
  const [path = "/"] = (request.url ?? "/").split("?", 1);
  return answer({ method: request.method ?? "GET", path });
}

function write(response: ServerResponse, { status, type, body }: HttpAnswer, isHead: boolean): void {
  const bytes = Buffer.from(body);
  response.writeHead(status, {
    "content-type": type,
    "content-length": bytes.length,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(isHead ? undefined : bytes);
}

/** More is no answer that anybody waits for. In bytes. */
const ANSWER_LIMIT = 64 * 1024 * 1024;

/**
 * Asks a server on a socket of the file system.
 * @param timeout Milliseconds from the connection to the end of the answer. @throws SocketFault.
 */
export async function askHttp(socket: string, request: HttpRequest, timeout: number): Promise<HttpAnswer> {
  const { request: send } = await import("node:http");
  return new Promise((resolve, reject) => {
    const sent = send({ socketPath: socket, method: request.method, path: request.path, agent: false });
    const failed = (errno: string, cause?: Error) => {
      clearTimeout(timer);
      sent.destroy();
      reject(new SocketFault(errno, socket, { cause }));
    };
    const timer = setTimeout(failed, timeout, "ETIMEDOUT");
    sent.on("error", (error) => failed("code" in error ? String(error.code) : "EIO", error));
    sent.on("response", (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        length += chunk.length;
        if (length > ANSWER_LIMIT) failed("EMSGSIZE");
      });
      response.on("error", (error) => failed("ECONNRESET", error));
      response.on("end", () => {
        clearTimeout(timer);
        const type = response.headers["content-type"] ?? "";
        resolve({ status: response.statusCode ?? 0, type, body: Buffer.concat(chunks).toString() });
      });
    });
    sent.end();
  });
}

async function listening(server: Server, where: HttpAddress): Promise<void> {
  if ("socket" in where) {
    const { rmSync } = process.getBuiltinModule("node:fs");
    rmSync(where.socket, { force: true });
  }
  // A socket of the file system is bound within listen(): with this umask it is nobody else's from its first moment on.
  const umask = "socket" in where ? process.umask(0o177) : undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("listening", resolve);
      server.once("error", (cause) => reject(refused(where, cause)));
      if ("socket" in where) server.listen(where.socket);
      else server.listen({ host: where.address, port: where.port, exclusive: true });
      if (umask !== undefined) process.umask(umask);
    });
  } finally {
    if (umask !== undefined) process.umask(umask);
    server.removeAllListeners("error");
  }
}

function refused(where: HttpAddress, cause: Error): Fault {
  const errno = "code" in cause ? String(cause.code) : "EIO";
  const name = "socket" in where ? where.socket : `TCP port ${where.port} of ${where.address}`;
  const remedy = REMEDIES[errno] ?? "give an address that this node has, and a port that is free";
  return new Fault(Code.io, `cannot listen on ${name} (${errno})`, remedy, { cause });
}

const REMEDIES: Record<string, string | undefined> = {
  EADDRINUSE: "end the program that has it (`ss -tlnp` names it), or give another port",
  EACCES: "run as root, or give a port above 1023",
};
