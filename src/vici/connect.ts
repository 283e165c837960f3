import type { Duplex } from "node:stream";
import { Call, type CallOptions } from "./call.ts";
import { ViciError } from "./errors.ts";
import { Session } from "./session.ts";
import { Vici } from "./vici.ts";

/** Where charon is. */
export type ConnectOptions = CallOptions &
  (
    | {
        /** Its unix socket: `charon.plugins.vici.socket` without `unix://`; `/run/charon.vici` on Debian. */
        readonly path: string;
      }
    | {
        /** A connection that is open already: TCP, a tunnel, a test. It is closed with the {@link Vici}. */
        readonly stream: Duplex;
      }
  );

/**
 * Connects to charon. Nothing is said yet: a charon that is out of worker threads accepts, and never answers.
 * @throws ViciError `ENOENT`, `ECONNREFUSED`, `EACCES`, … of the socket, `TIMEOUT`, `ABORTED`.
 */
export async function connect(options: ConnectOptions): Promise<Vici> {
  return new Vici(new Session("stream" in options ? options.stream : await open(options.path, options)));
}

async function open(path: string, options: CallOptions): Promise<Duplex> {
  const { Socket } = await import("node:net"); // late: loading it takes milliseconds
  const call: Call<void> = new Call(`connect to ${path}`, options, () => "no connection");
  const socket = new Socket();
  socket.once("connect", () => call.resolve());
  // Stays on: after a failure the socket must not throw for want of a listener.
  socket.on("error", (cause: NodeJS.ErrnoException) => call.reject(socketError(path, cause)));
  try {
    socket.connect({ path });
  } catch (cause) {
    call.reject(new ViciError("INVALID", `connect to ${path}: no path of a socket`, { cause }));
  }
  try {
    await call.promise;
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function socketError(path: string, cause: NodeJS.ErrnoException): ViciError {
  const errno = cause.code ?? "";
  const code = isErrno(errno) ? errno : "CLOSED";
  return new ViciError(code, `connect to ${path}: ${WHY[errno] ?? cause.message}`, { cause });
}

const WHY: Readonly<Record<string, string>> = {
  ENOENT: "there is no such socket: charon is not started (ENOENT)",
  ECONNREFUSED: "nobody listens: the charon that made the socket is dead (ECONNREFUSED)",
  EACCES: "not permitted: charon's socket belongs to root (EACCES)",
};

function isErrno(code: string): code is `E${string}` {
  return code.startsWith("E");
}
