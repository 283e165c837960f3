import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { requestSocket } from "../../../src/os/unix-socket.ts";

let directory: string;
let path: string;
let server: Server | undefined;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "podvpn-socket-"));
  path = join(directory, "s");
});
afterEach(() => {
  server?.close();
  server = undefined;
  rmSync(directory, { recursive: true });
});

async function listen(serve: (socket: Socket) => void): Promise<void> {
  server = createServer({ allowHalfOpen: true }, serve).listen(path);
  await once(server, "listening");
}

const ask = (request: string, timeout = 5000) => requestSocket(path, request, { timeout });

function failure(errno: string) {
  return expect.objectContaining({
    name: "Fault",
    code: 5,
    errno,
    message: expect.stringContaining(`${path} does not answer (${errno})`),
  });
}

describe("a request over a socket", () => {
  it("is written whole, and its answer read whole", async () => {
    const request = "question ".repeat(100_000);
    await listen(async (socket) => {
      let length = 0;
      for await (const chunk of socket) length += chunk.length;
      socket.end(`${length} ${"answer ".repeat(100_000)}`);
    });
    expect((await ask(request)).toString()).toBe(`${request.length} ${"answer ".repeat(100_000)}`);
  });

  it("that is empty only knocks", async () => {
    await listen((socket) => socket.resume().on("end", () => socket.end()));
    expect(await ask("")).toHaveLength(0);
  });

  it("has its answer also when the other side did not want to read all", async () => {
    // Closing with unread bytes makes the kernel reset the connection, after what was written.
    await listen((socket) => {
      socket.once("readable", () => {
        socket.read(1);
        socket.write("refused", () => socket.destroy());
      });
    });
    expect((await ask("x".repeat(100_000))).toString()).toBe("refused");
  });

  it("fails when there is nothing, or nobody listens there", async () => {
    await expect(ask("")).rejects.toThrowError(failure("ENOENT"));
    await listen(() => undefined);
    const file = `${path}.left`;
    renameSync(path, file); // closing the server removes only the name that it knows
    server?.close();
    await expect(requestSocket(file, "", { timeout: 5000 })).rejects.toMatchObject({ errno: "ECONNREFUSED" });
  });

  it("fails when the answer does not end in time", async () => {
    await listen((socket) => socket.resume().write("half"));
    await expect(ask("x", 50)).rejects.toThrowError(failure("ETIMEDOUT"));
  });
});
