import { fstatSync, readSync, writeSync } from "node:fs";
import { Code, Fault } from "../fault.ts";

/** What a plugin has of the world outside: its standard streams, its environment, its end. Replaceable in tests. */
export interface Stdio {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** All of standard input, to its end. @throws Fault 5 when it cannot be read. */
  readStdin(): string;
  /** Returns when all is written. @throws Fault 5 when it cannot be. */
  writeStdout(text: string): void;
  /** Returns when all is written, or when nobody listens. */
  writeStderr(text: string): void;
  exit(code: number): void;
}

/** The real ones. `process.stdin` and `process.stdout` are not touched: they cost start-up time and write asynchronously. */
export function processStdio(): Stdio {
  return {
    env: process.env,
    readStdin: () => readToEnd(0),
    writeStdout: (text) => writeAll(1, text, "standard output"),
    writeStderr: (text) => {
      try {
        writeAll(2, text, "standard error");
      } catch {
        // A message that nobody can read is no reason to fail.
      }
    },
    exit: (code) => process.exit(code),
  };
}

const CHUNK = 64 * 1024;

/**
 * All of file descriptor `fd` up to its end, as UTF-8. A character device (a terminal, /dev/null) and a closed
 * descriptor count as empty: called by hand, a plugin must not wait for somebody to type.
 * @throws Fault 5.
 */
export function readToEnd(fd: number): string {
  const chunks: Buffer[] = [];
  try {
    if (fstatSync(fd).isCharacterDevice()) return "";
    for (;;) {
      const chunk = Buffer.allocUnsafe(CHUNK);
      const length = whenReady(() => readSync(fd, chunk, 0, CHUNK, null));
      if (length === 0) return Buffer.concat(chunks).toString();
      chunks.push(chunk.subarray(0, length));
    }
  } catch (cause) {
    if (errnoOf(cause) === "EBADF") return "";
    throw new Fault(
      Code.io,
      `standard input cannot be read (${errnoOf(cause)})`,
      "pass the configuration through a pipe",
      {
        cause,
      },
    );
  }
}

/** Writes all of `text`, however small the pipe. @throws Fault 5, for instance when the reader is gone. */
export function writeAll(fd: number, text: string, name: string): void {
  const bytes = Buffer.from(text);
  try {
    for (let at = 0; at < bytes.length; ) at += whenReady(() => writeSync(fd, bytes, at));
  } catch (cause) {
    throw new Fault(
      Code.io,
      `${name} cannot be written (${errnoOf(cause)})`,
      "keep it open until the plugin has ended",
      {
        cause,
      },
    );
  }
}

/**
 * A parent may hand us a non-blocking pipe, and an event loop's read would cost `process.stdin`.
 * So this one wait is by trying again: 2 ms apart, only while the other side is slow.
 */
function whenReady(attempt: () => number): number {
  for (;;) {
    try {
      return attempt();
    } catch (error) {
      if (errnoOf(error) !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }
}

function errnoOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
