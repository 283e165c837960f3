import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { Code, Fault } from "../fault.ts";
import { untrustedDirectory } from "./trust.ts";

/** By this text, which is part of it, an executable is known as podvpn's, of whatever version. */
const MARKER = "podvpn-executable-5b0d1c4e97";

/** @throws Fault 101 when this is not the single-file executable but its source under plain Node. */
export function ownExecutable(): string {
  if (process.getBuiltinModule("node:sea").isSea()) return process.execPath;
  throw new Fault(
    Code.missingPart,
    "this is podvpn's source, not its executable",
    "run `npm run build`, then dist/podvpn",
  );
}

/** What stands at a path: nothing, one of podvpn's executables, or something else. */
export type Found = "absent" | "ours" | "foreign";

/** @throws Fault 5 when it cannot be read. */
export function identify(path: string): Found {
  return translated(path, () => {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats === undefined) return "absent";
    return stats.isFile() && hasMarker(path) ? "ours" : "foreign";
  });
}

/** Whether both paths are hard links of one file. */
export function isSameFile(a: string, b: string): boolean {
  const [first, second] = [lstatSync(a, { throwIfNoEntry: false }), lstatSync(b, { throwIfNoEntry: false })];
  return first !== undefined && second !== undefined && first.ino === second.ino && first.dev === second.dev;
}

/** Whether both are regular files with the same bytes. @throws Fault 5 when one that exists cannot be read. */
export function isEqualFile(a: string, b: string): boolean {
  if (isSameFile(a, b)) return true;
  return translated(a, () => {
    const stats = [a, b].map((path) => lstatSync(path, { throwIfNoEntry: false }));
    if (stats.some((each) => !each?.isFile()) || stats[0]?.size !== stats[1]?.size) return false;
    const other = chunks(b);
    for (const chunk of chunks(a)) if (!chunk.equals(other.next().value ?? EMPTY)) return false;
    return true;
  });
}

/**
 * Makes the directory when it is missing, mode 0755.
 * @throws Fault 5 when it cannot be made, or when others than root could exchange the executables in it.
 */
export function prepareDirectory(directory: string): void {
  const untrusted = translated(directory, () => untrustedDirectory(directory));
  if (untrusted !== undefined) {
    throw new Fault(
      Code.io,
      `${untrusted} belongs to others or can be written by others, who could exchange what the runtime runs as root`,
      `give it to root and run \`chmod go-w ${untrusted}\`, or choose another directory`,
    );
  }
  translated(directory, () => mkdirSync(directory, { recursive: true, mode: 0o755 }));
}

/**
 * Puts a copy of `source` at `target`, mode 0755. At every moment, also after a power cut, `target` is the old file or
 * the whole new one; a process that runs the old one keeps it.
 * @throws Fault 5.
 */
export function copyExecutable(source: string, target: string): void {
  translated(target, () =>
    replacing(target, (temporary) => {
      // In one piece: then it lies in the page cache in large pages, and a start is 2 ms shorter (docs/BENCHMARKS.md).
      writeFileSync(temporary, readFileSync(source), { flag: "wx" });
      chmodSync(temporary, 0o755);
      sync(temporary);
    }),
  );
}

/** Makes `target` a hard link of `source`, in place of what may be there, as {@link copyExecutable} does. @throws Fault 5. */
export function linkExecutable(source: string, target: string): void {
  translated(target, () => replacing(target, (temporary) => linkSync(source, temporary)));
}

/** Removes a file or a tree that may be gone already; a mounted file system is emptied, and stays. @throws Fault 5. */
export function remove(path: string): void {
  translated(path, () => {
    const entries = isMountPoint(path) ? readdirSync(path).map((name) => `${path}/${name}`) : [path];
    for (const entry of entries) rmSync(entry, { recursive: true, force: true });
  });
}

function isMountPoint(path: string): boolean {
  const [own, parent] = [path, dirname(path)].map((one) => lstatSync(one, { throwIfNoEntry: false }));
  return own !== undefined && parent !== undefined && own.isDirectory() && own.dev !== parent.dev;
}

function replacing(target: string, make: (temporary: string) => void): void {
  const directory = target.slice(0, target.lastIndexOf("/")) || "/";
  const temporary = `${directory}/.podvpn-${process.pid}-${process.hrtime.bigint()}.tmp`;
  try {
    make(temporary);
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  sync(directory); // a rename is on disk only when its directory is
}

function sync(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function hasMarker(path: string): boolean {
  let tail: Buffer = EMPTY; // a marker may lie across two chunks
  for (const chunk of chunks(path)) {
    const text = Buffer.concat([tail, chunk]);
    if (text.includes(MARKER)) return true;
    tail = Buffer.from(text.subarray(-MARKER.length));
  }
  return false;
}

/** The file's bytes, 4 MiB at a time; each chunk is valid until the next is asked for. */
function* chunks(path: string): Generator<Buffer> {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { size } = fstatSync(fd);
    const buffer = Buffer.allocUnsafe(Math.min(size, CHUNK));
    for (let at = 0; at < size; ) {
      const length = readSync(fd, buffer, 0, buffer.length, at);
      if (length === 0) return;
      yield buffer.subarray(0, length);
      at += length;
    }
  } finally {
    closeSync(fd);
  }
}

const CHUNK = 4 * 1024 * 1024;
const EMPTY: Buffer = Buffer.alloc(0);

function translated<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    const errno = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new Fault(Code.io, `${path}: ${errno}`, REMEDIES[errno] ?? "see that the path is on a healthy file system", {
      cause,
    });
  }
}

const REMEDIES: Readonly<Record<string, string | undefined>> = {
  EACCES: "run as root",
  EPERM: "run as root",
  EROFS: "mount that file system read-write, or choose another directory",
  ENOSPC: "free space on that file system: the executable takes 130 MB, once for all its names",
  ENOTDIR: "choose another directory: a part of the path is a file",
};
