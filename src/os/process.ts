import type { ChildProcess, SpawnOptions } from "node:child_process";
import { Code, Fault } from "../fault.ts";
import { effect } from "./effect.ts";
import { inNetns, type Netns } from "./namespace.ts";
import { trace } from "./trace.ts";

/** How a program is run to its end. */
export interface RunOptions {
  /** Milliseconds after which the program and all that it started are killed. Every wait has a bound. */
  readonly timeout: number;
  /** Written to its standard input, which is then closed; /dev/null without it. */
  readonly input?: string | Uint8Array;
  /** Its whole environment; ours without it. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Kills the program when it aborts; `run` then throws its reason. */
  readonly signal?: AbortSignal;
  /** Our file descriptors that it gets as its 3, 4, … */
  readonly extraFds?: readonly number[];
  /** Network namespace to run it in; ours without it. */
  readonly netns?: Netns;
}

/** How a program ended: `code` is null exactly when `signal` is not. */
export interface RunResult {
  readonly code: number | null;
  readonly signal: string | null;
  /** Complete. */
  readonly stdout: Buffer;
  /** Its last 64 KiB. */
  readonly stderr: Buffer;
  readonly pid: number;
}

/**
 * Runs a program to its end. A failure of the program itself is a result, not an exception.
 * It leads a process group of its own, so that what it started is killed together with it.
 * @param file Absolute path, or a name that is looked up in PATH.
 * @throws Fault 101 when it cannot be started, Fault 5 when it takes longer than `timeout` or writes more than 1 MiB to
 * its standard output.
 */
export async function run(file: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  options.signal?.throwIfAborted();
  const { spawn } = await import("node:child_process");
  const spawnOptions: SpawnOptions = {
    cwd: options.cwd,
    env: options.env ?? process.env,
    detached: true,
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe", ...(options.extraFds ?? [])],
  };
  trace(`spawn of ${file} begins`);
  const start = () => spawn(file, [...args], spawnOptions);
  const child = options.netns === undefined ? start() : inNetns(options.netns, start);
  trace(`spawn of ${file} done`);
  const result = await ended(child, file, options);
  trace(`${file} ended`);
  effect(`ran ${file}`);
  return result;
}

/** Far more than any result or listing that we ask for, far less than would hurt. */
const STDOUT_LIMIT = 1024 * 1024;
const STDERR_KEPT = 64 * 1024;

function ended(child: ChildProcess, file: string, options: RunOptions): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const { pid } = child;
    if (pid === undefined) {
      child.once("error", (cause) => reject(startFault(file, options.cwd, cause)));
      return;
    }
    effect(`spawn ${file}`);
    const stdout: Buffer[] = [];
    let stdoutLength = 0;
    let stderr: Buffer = Buffer.alloc(0);

    const finish = () => {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", onAbort);
    };
    // Not by waiting for "close": a process that left the group could hold our pipes open for ever.
    const kill = (reason: unknown) => {
      finish();
      killGroup(pid);
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
      reject(reason);
    };
    const onAbort = () => kill(options.signal?.reason);
    const timer = setTimeout(() => kill(timeoutFault(child, file, options.timeout, stderr)), options.timeout);
    options.signal?.addEventListener("abort", onAbort, { once: true });

    child.stdout?.on("data", (chunk: Buffer) => {
      stdout.push(chunk);
      stdoutLength += chunk.length;
      if (stdoutLength > STDOUT_LIMIT) kill(outputFault(file));
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      stderr = Buffer.concat([stderr, chunk]).subarray(-STDERR_KEPT);
    });
    child.once("error", (error) => kill(startFault(file, options.cwd, error)));
    child.once("close", (code, signal) => {
      finish();
      resolve({ code, signal, stdout: Buffer.concat(stdout), stderr, pid });
    });
    // EPIPE: the program ended without reading all of its input. That alone is no failure; its exit code tells.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(options.input);
  });
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // ESRCH: all of the group ended in the meantime.
  }
}

function startFault(file: string, cwd: string | undefined, cause: Error): Fault {
  const errno = "code" in cause ? String(cause.code) : cause.message;
  const where = cwd === undefined ? "" : ` in ${cwd}`;
  const remedy = REMEDIES[errno] ?? "see that the program runs when started by hand";
  return new Fault(Code.missingPart, `${file} cannot be started${where} (${errno})`, remedy, { cause });
}

const REMEDIES: Record<string, string | undefined> = {
  ENOENT: "install the program that provides it",
  EACCES: "make the file executable, on a file system that is not mounted noexec",
  EAGAIN: "raise the limit of processes on this node",
  ENOMEM: "free memory on this node",
};

function timeoutFault(child: ChildProcess, file: string, timeout: number, stderr: Buffer): Fault {
  const seconds = timeout / 1000;
  const what =
    child.exitCode === null && child.signalCode === null
      ? `${file} did not end within ${seconds} s and was killed`
      : `${file} ended, but a process that it started still held its output after ${seconds} s`;
  const details = stderr.toString().trimEnd();
  return new Fault(Code.io, what, "see in its messages what it waits for", details === "" ? {} : { details });
}

function outputFault(file: string): Fault {
  return new Fault(Code.io, `${file} wrote more than 1 MiB to its standard output`, "see that it is the right program");
}
