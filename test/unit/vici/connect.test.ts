import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, decodePacket, encodePacket, encodeSegment, SegmentDecoder } from "vici";
import { afterEach, beforeEach, expect, test } from "vitest";

let directory = "";
let path = "";
let server: Server | undefined;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "vici-connect-"));
  path = join(directory, "vici");
});

afterEach(async () => {
  server?.close();
  server = undefined;
  await rm(directory, { recursive: true });
});

/** Listens at {@link path}. */
async function listen(onConnection: (socket: Socket) => void): Promise<void> {
  server = createServer({ pauseOnConnect: true }, onConnection);
  server.listen(path);
  await once(server, "listening");
}

test("a command is answered over a unix socket", async () => {
  await listen((socket) => {
    const decoder = new SegmentDecoder();
    socket.resume().on("data", (piece) => {
      for (const body of decoder.push(piece)) {
        const packet = decodePacket(body);
        const name = "name" in packet ? packet.name : "";
        socket.write(encodeSegment(encodePacket({ type: "CMD_RESPONSE", message: { name } })));
      }
    });
  });
  await using vici = await connect({ path });
  expect((await vici.request("get-conns")).text("name")).toBe("get-conns");
});

test("no socket is ENOENT: charon was not started", async () => {
  await expect(connect({ path })).rejects.toMatchObject({ name: "ViciError", code: "ENOENT" });
});

test("a socket that a dead charon left behind is ECONNREFUSED", async () => {
  // A listener that is killed leaves its name; one that ends by itself takes it away.
  const { execFileSync } = await import("node:child_process");
  const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
  expect(() => execFileSync(process.execPath, ["-e", script], { stdio: "ignore" })).toThrow();
  await expect(connect({ path })).rejects.toMatchObject({ name: "ViciError", code: "ECONNREFUSED" });
});

test.each([
  ["longer than a socket's may be", `/${"x".repeat(120)}`],
  ["with a NUL", "/run/a\0b"],
  ["of nothing", ""],
])("a path %s is refused", async (_, refused) => {
  await expect(connect({ path: refused })).rejects.toMatchObject({ name: "ViciError" });
});

test("a signal that is aborted already connects nothing", async () => {
  let connections = 0;
  await listen(() => {
    connections += 1;
  });
  const call = connect({ path, signal: AbortSignal.abort("enough") });
  await expect(call).rejects.toMatchObject({ code: "ABORTED", cause: "enough" });
  expect(connections).toBe(0);
});

test("a charon that is killed in the middle of an answer fails the call, not the process", async () => {
  await listen((socket) => {
    socket.resume().once("data", () => {
      socket.write(Uint8Array.of(0, 0, 1, 0, 1));
      socket.destroy();
    });
  });
  await using vici = await connect({ path });
  await expect(vici.version()).rejects.toMatchObject({ code: "CLOSED" });
  await expect(vici.version()).rejects.toMatchObject({ code: "CLOSED" });
});

test("a charon that is killed before it has read the question resets the connection, and fails the call", async () => {
  let charon: Socket | undefined;
  await listen((socket) => {
    charon = socket;
  });
  await using vici = await connect({ path });
  const call = vici.version();
  while (charon === undefined) await new Promise((resolve) => setImmediate(resolve));
  charon.destroy();
  await expect(call).rejects.toMatchObject({ code: "CLOSED", cause: { code: "ECONNRESET" } });
});

test("a charon that goes while nothing waits is told by the next call", async () => {
  let gone: Promise<unknown> | undefined;
  await listen((socket) => {
    gone = once(socket, "close");
    socket.resume().end();
  });
  await using vici = await connect({ path });
  await gone;
  await expect(vici.version()).rejects.toMatchObject({ code: "CLOSED" });
});
