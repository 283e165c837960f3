import { type BigIntStats, constants, existsSync, lstatSync } from "node:fs";
import { chmod, lstat, mkdir, open, readdir, rename, stat, statfs, unlink } from "node:fs/promises";
import { Code, Fault } from "../fault.ts";
import { effect } from "./effect.ts";

// For files that others write as well, perhaps on a file server. Nothing here blocks this process when that server
// hangs: each call then settles late or never, and one thread of libuv's four waits. Callers make three at a time at most.

/** What of a file changes whenever it is written or replaced. */
export interface FileFacts {
  /** Equal for the same bytes in the same file, unless `isFresh`. */
  readonly identity: string;
  /** In bytes. */
  readonly size: number;
  /**
   * Whether it was changed so lately that another change would not show in `identity`: file systems count time in
   * steps (ext4 and tmpfs 4 ms, NFS up to a second), and the server's clock is not ours.
   */
  readonly isFresh: boolean;
}

/** A file that cannot be read: an errno, or what it is instead of a file. */
export interface Unreadable {
  readonly problem: string;
}

/** {@link Unreadable.problem} of what has no errno of its own. */
export const Problem = {
  /** A symbolic link to nothing. */
  dangling: "DANGLING",
  /** A FIFO, socket or device. */
  special: "SPECIAL",
} as const;

/** The names in a directory; undefined when there is none. @throws Fault 5. */
export async function listShared(path: string): Promise<string[] | undefined> {
  try {
    return await readdir(path);
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT") return undefined;
    throw fault(path, cause);
  }
}

/**
 * What of files can be told without reading them, in the order of `names`; undefined for one that is not there.
 * @param names In `directory`.
 */
export async function sharedFacts(
  directory: string,
  names: readonly string[],
): Promise<readonly (FileFacts | Unreadable | undefined)[]> {
  const isLocal = await statfs(directory).then(
    ({ type }) => LOCAL.has(type),
    () => false,
  );
  const found: (FileFacts | Unreadable | undefined)[] = [];
  await mapShared([...names.entries()], async ([index, name]) => {
    const path = `${directory}/${name}`;
    found[index] = (isLocal ? localFacts(path) : undefined) ?? (await remoteFacts(path));
  });
  return found;
}

/** Does something with each of many files, as much at once as a server that hangs leaves others a thread for. */
export async function mapShared<T>(items: Iterable<T>, act: (item: T) => Promise<void>): Promise<void> {
  const todo = items[Symbol.iterator]();
  const worker = async () => {
    for (let { value, done } = todo.next(); done !== true; { value, done } = todo.next()) await act(value);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

const AT_ONCE = 3;

/**
 * File systems of this machine alone, by statfs(2): ext, tmpfs, ramfs, XFS, Btrfs, ZFS, F2FS, bcachefs. There a call that
 * does not wait for a thread takes a twentieth of the processor's time.
 */
const LOCAL: ReadonlySet<number> = new Set([
  0xef53, 0x01021994, 0x858458f6, 0x58465342, 0x9123683e, 0x2fc12fc1, 0xf2f52010, 0xca451a4e,
]);

/** Undefined when it must be asked otherwise: it may be a symbolic link to a file server. */
function localFacts(path: string): FileFacts | Unreadable | undefined {
  try {
    const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    return stats === undefined || stats.isSymbolicLink() ? undefined : factsOf(stats);
  } catch {
    return undefined; // is told there
  }
}

async function remoteFacts(path: string): Promise<FileFacts | Unreadable | undefined> {
  try {
    return factsOf(await stat(path, { bigint: true }));
  } catch (error) {
    return problemOf(path, error);
  }
}

/**
 * The bytes of a regular file; undefined when there is none. Symbolic links are followed.
 * @param most In bytes: a larger file is EFBIG.
 */
export async function readShared(
  path: string,
  most: number,
): Promise<(FileFacts & { readonly bytes: Uint8Array }) | Unreadable | undefined> {
  try {
    // O_NONBLOCK: opening a FIFO that nobody writes to would block for ever.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    // Before it is read: what is written meanwhile has later times.
    const facts = factsOf(await file.stat({ bigint: true }));
    if ("problem" in facts) return facts;
    if (facts.size > most) return { problem: "EFBIG" };
    // One that grew since then has another identity when it is looked at again.
    const buffer = Buffer.alloc(facts.size + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    return { ...facts, bytes: buffer.subarray(0, bytesRead) };
  } catch (error) {
    return problemOf(path, error);
  }
}

/**
 * Writes a file so that a reader sees all of it or none, and so that it outlives a power failure: temporary file beside
 * it whose name begins with a dot, fsync, rename. Makes the directory (0755). Temporary files of the same name that a
 * killed process left are removed.
 * @param mode Permission bits, whatever the umask. @throws Fault 5.
 */
export async function writeShared(path: string, text: string, mode: number): Promise<void> {
  const { directory, name } = split(path);
  const temporary = `${directory}/.${name}.${process.pid}.tmp`;
  try {
    await mkdir(directory, { recursive: true, mode: 0o755 });
    await removeAbandoned(directory, name);
    try {
      await writeSynced(temporary, text, mode);
      await rename(temporary, path);
      effect(`write ${path}`);
      await syncDirectory(directory);
    } catch (error) {
      await unlink(temporary).catch(() => undefined);
      throw error;
    }
  } catch (cause) {
    throw fault(path, cause);
  }
}

/** Removes a file, for good when this returns; none is fine. @throws Fault 5. */
export async function removeShared(path: string): Promise<void> {
  try {
    await unlink(path);
    effect(`remove ${path}`);
    await syncDirectory(split(path).directory);
  } catch (cause) {
    if (errnoOf(cause) !== "ENOENT") throw fault(path, cause);
  }
}

async function writeSynced(path: string, text: string, mode: number): Promise<void> {
  await using file = await open(path, "wx", mode);
  effect(`create ${path}`);
  await file.writeFile(text);
  await chmod(path, mode);
  await file.sync();
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, "r");
  await directory.sync();
}

/** Ours as well: a call that is under way has its turn before or after this one. */
async function removeAbandoned(directory: string, name: string): Promise<void> {
  for (const entry of await readdir(directory)) {
    const pid = entry.startsWith(`.${name}.`) ? /^\.(\d+)\.tmp$/.exec(entry.slice(name.length + 1))?.[1] : undefined;
    if (pid === undefined || (pid !== `${process.pid}` && existsSync(`/proc/${pid}`))) continue;
    await unlink(`${directory}/${entry}`);
  }
}

/** In milliseconds: how long after a change a file is fresh, by the clocks of both sides. */
const FRESH = 2000;

function factsOf(stats: BigIntStats): FileFacts | Unreadable {
  if (stats.isDirectory()) return { problem: "EISDIR" };
  if (!stats.isFile()) return { problem: Problem.special };
  const { dev, ino, size, mtimeNs, ctimeNs } = stats;
  const changed = Number((mtimeNs > ctimeNs ? mtimeNs : ctimeNs) / 1_000_000n);
  return {
    identity: `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`,
    size: Number(size),
    isFresh: changed > Date.now() - FRESH,
  };
}

/** Why it cannot be read; undefined when it is not there. */
async function problemOf(path: string, error: unknown): Promise<Unreadable | undefined> {
  const errno = errnoOf(error);
  if (errno === undefined) throw error;
  if (errno !== "ENOENT") return { problem: errno };
  const isLink = await lstat(path).then(
    (stats) => stats.isSymbolicLink(),
    () => false,
  );
  return isLink ? { problem: Problem.dangling } : undefined;
}

function split(path: string): { readonly directory: string; readonly name: string } {
  const slash = path.lastIndexOf("/");
  return { directory: path.slice(0, slash) || "/", name: path.slice(slash + 1) };
}

function fault(path: string, cause: unknown): Fault {
  if (cause instanceof Fault) return cause;
  const errno = errnoOf(cause) ?? "unknown error";
  const remedy = REMEDIES[errno] ?? "see that it is on a healthy, writable file system";
  return new Fault(Code.io, `${path}: ${errno}`, remedy, { cause });
}

const REMEDIES: Readonly<Record<string, string | undefined>> = {
  EACCES: "run as root, or correct the permissions (on NFS, root_squash makes root nobody)",
  EPERM: "run as root, or correct the permissions",
  EROFS: "mount that file system read-write",
  ENOSPC: "free space on that file system",
  EDQUOT: "free space on that file system",
  ESTALE: "mount that file system again",
  EIO: "see that the file server answers, and the kernel's log",
  ENOTDIR: "make it a directory",
  ELOOP: "correct the symbolic links",
};

function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
