import type { ChildProcess } from "node:child_process";
import { Code, Fault } from "../fault.ts";
import { effect } from "./effect.ts";
import { listDirectory, readText } from "./file.ts";
import { inNetns, type Netns } from "./namespace.ts";
import { openPidfd, type Pidfd } from "./pidfd.ts";
import { trace } from "./trace.ts";

/** A program that shall outlive us. */
export interface DaemonOptions {
  /** Absolute path of the executable. */
  readonly file: string;
  readonly args?: readonly string[];
  /** The daemon's whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Namespace to start it in; the caller's own without it. */
  readonly netns?: Netns;
  /** What it writes to its standard output and error is appended there; without it, it is lost. */
  readonly logFile?: string;
  /** Where its pid is written, by the new process itself, before the daemon's first instruction. */
  readonly pidFile: string;
  /** Bound of every file it writes, in KiB (RLIMIT_FSIZE). */
  readonly maxFileSize: number;
  /** A lock that the new process shares until its pid is on disk: who takes the lock next will find the pid. */
  readonly lockFd?: number;
}

/** A daemon that was started: `ended` settles, with a sentence, if it ends while we still live. */
export interface Daemon {
  readonly pid: number;
  readonly ended: Promise<string>;
}

/**
 * `$$` is written and then replaced by the daemon, so that there is no moment in which it runs and nobody knows its
 * pid. SIGXFSZ is ignored (survives exec): at its bound a log just stops. Small stacks: with transparent huge pages
 * some daemons would else take 2 MB for each of their threads (docs/facts/kernel-esp.md).
 */
const SCRIPT =
  'umask 077; trap "" XFSZ; ulimit -s 512; ulimit -f "$2"; echo $$ >"$1" || exit 73; exec >>"$3" 2>&1; shift 3; exec "$@" 3>&-';

/** Starts a daemon, detached, with nothing of ours but /dev/null open. @throws Fault 101 when it cannot be started. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { spawn } = await import("node:child_process");
  const blocks = String(options.maxFileSize * 2); // POSIX: `ulimit -f` counts 512 bytes
  const log = options.logFile ?? "/dev/null";
  const args = ["-c", SCRIPT, "sh", options.pidFile, blocks, log, options.file, ...(options.args ?? [])];
  const start = () =>
    spawn("/bin/sh", args, {
      cwd: "/",
      env: options.env,
      detached: true,
      stdio: ["ignore", "ignore", "ignore", options.lockFd ?? "ignore"],
    });
  const child = options.netns === undefined ? start() : inNetns(options.netns, start);
  if (child.pid === undefined) throw await startFailed(child, options.file);
  effect(`spawn ${options.file}`);
  trace(`${options.file} spawned`);
  child.unref();
  const ended = new Promise<string>((resolve) => {
    child.once("exit", (code, signal) => resolve(signal === null ? `exit status ${code}` : `killed by ${signal}`));
  });
  return { pid: child.pid, ended };
}

/**
 * The daemon whose pid is in `pidFile`, or undefined when it does not run any more. Without the file (somebody cleared
 * its directory) all processes are looked at.
 * It is known by an entry of its environment that no other process has: a pid alone may have been given out again.
 */
export function findDaemon(pidFile: string, environmentEntry: string): Pidfd | undefined {
  const written = readText(pidFile) ?? "";
  const pid = written === "" ? pidByEnvironment(environmentEntry) : Number.parseInt(written, 10);
  if (pid === undefined || !(pid > 0)) return undefined;
  const pidfd = openPidfd(pid);
  if (pidfd === undefined) return undefined;
  if (hasEntry(pid, environmentEntry)) return pidfd;
  pidfd[Symbol.dispose]();
  return undefined;
}

function pidByEnvironment(entry: string): number | undefined {
  return listDirectory("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((pid) => hasEntry(pid, entry));
}

function hasEntry(pid: number, entry: string): boolean {
  try {
    return (readText(`/proc/${pid}/environ`) ?? "").split("\0").includes(entry);
  } catch {
    return false; // not ours to read, so not ours
  }
}

/** Milliseconds that the kernel gets to clear a killed process away: closing TUN devices, fifty take seconds. */
const CLEARING = 20_000;

const SIGKILL = 9;
const SIGTERM = 15;

/**
 * Ends a daemon: SIGTERM, and SIGKILL after `grace` ms (a charon with blocked workers ignores SIGTERM).
 * @throws Fault 103 when it is still there after that.
 */
export async function stopDaemon(daemon: Pidfd, grace: number): Promise<void> {
  if (!daemon.signal(SIGTERM) || (await daemon.ended(grace))) return;
  if (!daemon.signal(SIGKILL) || (await daemon.ended(CLEARING))) return;
  throw new Fault(Code.charon, `process ${daemon.pid} does not end`, "see with `ps` what it waits for");
}

function startFailed(child: ChildProcess, file: string): Promise<Fault> {
  return new Promise((resolve) => {
    child.once("error", (cause) => {
      resolve(
        new Fault(Code.missingPart, `${file} cannot be started`, "see that /bin/sh works on this node", { cause }),
      );
    });
  });
}
