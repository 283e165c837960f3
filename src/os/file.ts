import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { Code, Fault } from "../fault.ts";
import { effect } from "./effect.ts";

/** Makes `path` and its parents; what is made has mode 0700. @throws Fault 5. */
export function mkdirPrivate(path: string): void {
  const made = translated(path, () => mkdirSync(path, { recursive: true, mode: 0o700 }));
  if (made !== undefined) effect(`mkdir ${path}`);
}

/**
 * Writes a file so that a reader sees all of it or none: temporary file beside it, fsync, rename.
 * @param mode Permission bits, 0600 unless told. @throws Fault 5, with a remedy of its own for a full disk.
 */
export function writeAtomic(path: string, data: string | Uint8Array, mode = 0o600): void {
  const temporary = `${path}.${process.pid}.tmp`;
  translated(path, () => {
    try {
      writeSynced(temporary, data, mode);
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  });
  effect(`write ${path}`);
}

/**
 * As {@link writeAtomic}, and on the disk under its name when this returns, also if the machine's power fails then.
 * Makes the directory. @throws Fault 5.
 */
export function writeDurable(path: string, data: string | Uint8Array): void {
  const directory = path.slice(0, path.lastIndexOf("/"));
  mkdirPrivate(directory);
  translated(path, () => removeAbandoned(path));
  writeAtomic(path, data);
  syncDirectory(directory);
}

/** Has the names in a directory on the disk when it returns, also if the machine's power fails then. @throws Fault 5. */
export function syncDirectory(path: string): void {
  translated(path, () => {
    const fd = openSync(path, "r");
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  });
}

/** Gives a file another name beside it, in place of whatever has that. @throws Fault 5. */
export function moveAside(path: string, aside: string): void {
  translated(path, () => renameSync(path, aside));
  effect(`rename ${path}`);
}

/**
 * As {@link writeAtomic}, but never over anything: of several who write at once one does.
 * @returns False when there was something of that name, which stays as it was. @throws Fault 5.
 */
export function writeNew(path: string, data: string | Uint8Array, mode = 0o600): boolean {
  const temporary = `${path}.${process.pid}.tmp`;
  const isNew = translated(path, () => {
    removeAbandoned(path);
    try {
      writeSynced(temporary, data, mode);
      return linked(temporary, path);
    } finally {
      rmSync(temporary, { force: true });
    }
  });
  effect(`write ${path}`);
  return isNew;
}

/** link(2), which unlike rename(2) replaces nothing; false when there is something. */
function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** Temporary files of processes that were killed before they could remove them: they may hold a secret. */
function removeAbandoned(path: string): void {
  const [directory, name] = [path.slice(0, path.lastIndexOf("/")), path.slice(path.lastIndexOf("/") + 1)];
  for (const entry of listDirectory(directory)) {
    const pid = entry.startsWith(`${name}.`) ? /^\.(\d+)\.tmp$/.exec(entry.slice(name.length))?.[1] : undefined;
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(`${directory}/${entry}`, { force: true });
  }
}

function writeSynced(path: string, data: string | Uint8Array, mode: number): void {
  const fd = openSync(path, "w", mode);
  effect(`create ${path}`);
  try {
    const bytes = typeof data === "string" ? Buffer.from(data) : data;
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** The file's text, or undefined when there is none. @throws Fault 5 for every other failure. */
export function readText(path: string): string | undefined {
  return absent(path, () => readFileSync(path, "utf8"));
}

/** When the file's bytes were last changed, in milliseconds since 1970; undefined when there is none. @throws Fault 5. */
export function modifiedAt(path: string): number | undefined {
  return translated(path, () => statSync(path, { throwIfNoEntry: false })?.mtimeMs);
}

/** Names in a directory, or none when it does not exist. @throws Fault 5 for every other failure. */
export function listDirectory(path: string): string[] {
  return absent(path, () => readdirSync(path)) ?? [];
}

/** Where a symbolic link (also one of /proc) points, or undefined when it is gone. @throws Fault 5. */
export function readLink(path: string): string | undefined {
  return absent(path, () => readlinkSync(path));
}

/** Removes a file or a tree; nothing there is fine. @throws Fault 5. */
export function removeTree(path: string): void {
  translated(path, () => rmSync(path, { recursive: true, force: true }));
  effect(`remove ${path}`);
}

/** Removes a directory that has nothing in it. @returns False when there is none, or when it is in use. @throws Fault 5. */
export function removeIfEmpty(path: string): boolean {
  const removed = translated(path, () => {
    try {
      rmdirSync(path);
      return true;
    } catch (error) {
      if (["ENOENT", "ENOTDIR", "ENOTEMPTY", "EBUSY"].includes(errnoOf(error) ?? "")) return false;
      throw error;
    }
  });
  if (removed) effect(`remove ${path}`);
  return removed;
}

function absent<T>(path: string, read: () => T): T | undefined {
  return translated(path, () => {
    try {
      return read();
    } catch (error) {
      // ESRCH: a file of /proc whose process ended between open and read.
      const code = errnoOf(error);
      if (code === "ENOENT" || code === "ENOTDIR" || code === "ESRCH") return undefined;
      throw error;
    }
  });
}

function translated<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    const errno = errnoOf(cause) ?? "unknown error";
    const remedy = REMEDIES[errno] ?? "see that the path is on a healthy, writable file system";
    throw new Fault(Code.io, `${path}: ${errno}`, remedy, { cause });
  }
}

const REMEDIES: Record<string, string | undefined> = {
  ENOSPC: "free space on that file system",
  EDQUOT: "free space on that file system",
  EACCES: "run as root, or correct the permissions",
  EPERM: "run as root, or correct the permissions",
  EROFS: "mount that file system read-write",
};

function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** The first executable regular file `name` in `directories`, or undefined. */
export function findExecutable(name: string, directories: readonly string[]): string | undefined {
  return directories.map((directory) => `${directory}/${name}`).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Why a device cannot be opened for reading and writing, as an errno name; undefined when it can. */
export function deviceRefusal(path: string): string | undefined {
  try {
    closeSync(openSync(path, "r+"));
    return undefined;
  } catch (error) {
    return errnoOf(error) ?? "EIO";
  }
}

/** Empties the file when it has more than `bytes`; nothing there is fine. @throws Fault 5. */
export function truncateAbove(path: string, bytes: number): void {
  translated(path, () => {
    if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) <= bytes) return;
    truncateSync(path);
    effect(`truncate ${path}`);
  });
}

/** A file that may hold a secret: whose it is, its type and permission bits, and its bytes if it is a regular file. */
export interface SecretFile {
  readonly uid: number;
  readonly mode: number;
  readonly bytes: Uint8Array;
}

/** Opens and reads `path`; undefined when there is nothing. The facts are of the very file that is read. @throws Fault 5. */
export function readSecretFile(path: string): SecretFile | undefined {
  return absent(path, () => {
    // O_NONBLOCK: opening a FIFO that nobody writes to would block for ever.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const { uid, mode } = fstatSync(fd);
      const isFile = (mode & constants.S_IFMT) === constants.S_IFREG;
      return { uid, mode, bytes: isFile ? readFileSync(fd) : new Uint8Array() };
    } finally {
      closeSync(fd);
    }
  });
}
