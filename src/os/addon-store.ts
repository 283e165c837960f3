import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { isTrusted, untrustedDirectory } from "./trust.ts";

/**
 * Opens `file` in `directory` when it is fit to be loaded as code, writing it first when it is not there or not right.
 * Fit means: every directory on the way belongs to root (or to the user who runs this) and is writable by nobody
 * else, the file is a regular one with the same owner and modes, and holds exactly `content`.
 * Safe when many processes start at once: each writes a name of its own and renames; whichever is last wins, with
 * the same bytes.
 * @returns A descriptor open for reading, at an unspecified offset.
 * @throws Error with the reason, in words for an operator.
 */
export function openStored(directory: string, file: string, content: Uint8Array): number {
  // Looked at before anything is made: nothing is written below a directory that others could exchange.
  assertTrusted(directory);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  assertTrusted(directory);
  const path = `${directory}/${file}`;
  const present = openIfEqual(path, content);
  if (present !== undefined) return present;
  replace(directory, path, content);
  const written = openIfEqual(path, content);
  if (written === undefined) throw new Error("what was written is not what is read back");
  return written;
}

function assertTrusted(directory: string): void {
  const path = untrustedDirectory(directory);
  if (path !== undefined) throw new Error(`${path} belongs to others or can be written by others`);
}

/** A descriptor of the file, or undefined when it is missing or must be replaced. */
function openIfEqual(path: string, content: Uint8Array): number | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined; // missing, a symbolic link, not ours to read: replacing it tells which
  }
  const stats = fstatSync(fd);
  if (stats.isFile() && isTrusted(stats) && stats.size === content.length && holds(fd, content)) return fd;
  closeSync(fd);
  return undefined;
}

/** Whether the file's bytes are `content`: 0.3 ms for a megabyte, less than any hash (in one piece: 0.7, page faults). */
function holds(fd: number, content: Uint8Array): boolean {
  const chunk = Buffer.allocUnsafeSlow(Math.min(CHUNK, content.length));
  for (let at = 0; at < content.length; ) {
    const length = readSync(fd, chunk, 0, Math.min(chunk.length, content.length - at), at);
    if (length === 0 || chunk.compare(content, at, at + length, 0, length) !== 0) return false;
    at += length;
  }
  return true;
}

const CHUNK = 256 * 1024;

function replace(directory: string, path: string, content: Uint8Array): void {
  sweep(directory);
  // The clock, not only the pid: several pid namespaces can share the directory.
  const temporary = `${path}.${process.pid}-${process.hrtime.bigint()}.tmp`;
  try {
    const fd = openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o700);
    try {
      for (let at = 0; at < content.length; ) at += writeSync(fd, content, at);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Removes what a process that was killed while writing left, an hour later: no writer takes that long. */
function sweep(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (!name.endsWith(".tmp")) continue;
    const stats = lstatSync(`${directory}/${name}`, { throwIfNoEntry: false });
    if (stats !== undefined && Date.now() - stats.mtimeMs > 3_600_000) rmSync(`${directory}/${name}`, { force: true });
  }
}
