import { closeSync, fstatSync, openSync, statSync } from "node:fs";
import { Code, Fault } from "../fault.ts";
import { mkdirPrivate } from "./file.ts";
import { lastErrno, native } from "./native.ts";
import { run } from "./process.ts";

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;

/** How a directory is to be locked. */
export interface LockOptions {
  /** Makes the directory when there is none. */
  readonly create: boolean;
  /** Beside other shared holders; exclusive without it. */
  readonly shared?: boolean;
  /** Milliseconds to wait for another holder; 0 asks once. */
  readonly wait: number;
}

/** A lock, held until disposed of, and by every child that was given `fd`. */
export interface Lock extends Disposable {
  readonly fd: number;
}

/**
 * Locks the directory `path` by flock(2); makes it first when `create` is set.
 * The lock is on the directory itself, so that nothing but the directory has to be removed in the end; and it belongs
 * to the open file, so that a child which inherits `fd` (a delegate that outlives our SIGKILL) keeps it.
 * @returns undefined when the directory does not exist and `create` is not set.
 * @throws Fault 11 (try again later) when another holder does not let go in time, Fault 5 for a bad directory.
 */
export async function lockDirectory(path: string, options: LockOptions): Promise<Lock | undefined> {
  const { create, shared = false, wait } = options;
  const until = performance.now() + wait; // not the clock: somebody may set it
  for (;;) {
    if (create) mkdirPrivate(path);
    const fd = openDirectory(path);
    if (fd === undefined) {
      if (create) continue; // removed between the two calls by the one who held the lock
      return undefined;
    }
    try {
      await acquire(fd, path, shared, until);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    // The holder before us may have removed the directory: then this lock is on something that has no name any more.
    if (isSame(fd, path)) return { fd, [Symbol.dispose]: () => closeSync(fd) };
    closeSync(fd);
  }
}

async function acquire(fd: number, path: string, shared: boolean, until: number): Promise<void> {
  if (native().flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0) return;
  const errno = lastErrno();
  if (errno !== "EAGAIN") {
    throw new Fault(Code.io, `cannot lock ${path} (${errno})`, "put it on a file system that supports flock(2)");
  }
  const left = until - performance.now();
  if (left <= 0) throw held(path);
  // flock(1) waits on our open file, with a bound, in a process of its own: a blocked thread of ours could not be ended.
  const seconds = Math.max(0.1, left / 1000);
  const { code } = await run("flock", [shared ? "--shared" : "--exclusive", "--timeout", seconds.toFixed(1), "3"], {
    extraFds: [fd],
    timeout: seconds * 1000 + 2000,
  });
  if (code !== 0) throw held(path);
}

function held(path: string): Fault {
  return new Fault(
    Code.tryAgainLater,
    `another podvpn process has held ${path} for too long`,
    "try again when it has ended",
  );
}

function openDirectory(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw new Fault(Code.io, `${path} cannot be opened`, "make it a directory of root's with mode 0700", { cause });
  }
}

function isSame(fd: number, path: string): boolean {
  const ours = fstatSync(fd);
  const named = statSync(path, { throwIfNoEntry: false });
  return named !== undefined && named.ino === ours.ino && named.dev === ours.dev;
}
