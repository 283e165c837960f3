import { type FSWatcher, watch } from "node:fs";
import { lstat, readlink } from "node:fs/promises";
import { Code, Fault } from "../fault.ts";

/** Who is told of changes in a directory. */
export interface DirectoryListener {
  /** Something of that name in it was made, written, renamed or removed. */
  readonly onEntry: (name: string) => void;
  /** The path may mean another directory now, or none: {@link DirectoryWatch.follow} finds it. */
  readonly onReplaced: () => void;
}

/** A watch that goes on until it is disposed of. */
export interface DirectoryWatch extends Disposable {
  /**
   * Finds the directory anew, and watches it, and what could make the path mean another one. Cheap when nothing changed.
   * @throws Fault 5 when the kernel gives no watch: then changes must be looked for.
   */
  follow(): Promise<void>;
}

/**
 * Watches the directory `path` by inotify(7), also when it is replaced by rename, or comes later, or when a symbolic link
 * on the way to it is turned elsewhere. What others write on a file server is not seen. Watches nothing before the first
 * `follow`.
 * @param path Absolute.
 */
export function watchDirectory(path: string, listener: DirectoryListener): DirectoryWatch {
  let watchers = new Map<string, FSWatcher>();
  let isOver = false;
  return {
    async follow() {
      const wanted = await placesOf(path);
      if (isOver) return;
      const before = watchers;
      watchers = new Map();
      try {
        for (const place of wanted) {
          // One that is gone, or is another directory by now: the next round has it.
          const watcher = before.get(place.key) ?? started(place, listener);
          if (watcher !== undefined) watchers.set(place.key, watcher);
        }
      } finally {
        for (const [key, watcher] of before) if (watchers.get(key) !== watcher) watcher.close();
      }
    },
    [Symbol.dispose]() {
      isOver = true;
      for (const watcher of watchers.values()) watcher.close();
      watchers.clear();
    },
  };
}

/** A directory to watch, and what in it counts: one name, or all of them. */
interface Place {
  readonly directory: string;
  readonly name: string | undefined;
  /** Another one for another directory of the same path. */
  readonly key: string;
}

function started({ directory, name: only }: Place, { onEntry, onReplaced }: DirectoryListener): FSWatcher | undefined {
  const own = directory.slice(directory.lastIndexOf("/") + 1);
  try {
    const watcher = watch(directory, (event, name) => {
      if (only !== undefined) {
        if (name === only || name === own || name === null) onReplaced();
        return;
      }
      if (name !== null) onEntry(name);
      // Moved, removed and unmounted, libuv (1.51) says by the directory's own name.
      if (event === "rename" && (name === own || name === null)) onReplaced();
    });
    watcher.on("error", onReplaced);
    return watcher;
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === "ENOENT" || errno === "ENOTDIR") return undefined;
    const remedy =
      errno === "ENOSPC" || errno === "EMFILE"
        ? "raise the kernel's limits, with sysctl fs.inotify.max_user_watches=1048576 fs.inotify.max_user_instances=1024"
        : "correct the permissions";
    throw new Fault(Code.io, `${directory} cannot be watched (${errno ?? "unknown error"})`, remedy, { cause });
  }
}

/** As in the kernel (MAXSYMLINKS). */
const LINKS = 40;

/**
 * What to watch: the directory itself; where it and its parent stand, and each symbolic link on the way; what is
 * missing first.
 */
async function placesOf(path: string): Promise<Place[]> {
  const places: Place[] = [];
  const todo = partsOf(path);
  let [current, links] = ["/", 0];
  for (let part = todo.shift(); part !== undefined; part = todo.shift()) {
    if (part === "..") {
      current = parentOf(current);
      continue;
    }
    const next = current === "/" ? `/${part}` : `${current}/${part}`;
    const kind = await kindOf(next);
    if (kind !== "directory" || todo.length <= 1) places.push(await placeOf(current, part));
    if (kind === "directory") {
      current = next;
      continue;
    }
    if (kind === "other" || links === LINKS) return places;
    links += 1;
    if (kind.target.startsWith("/")) current = "/";
    todo.unshift(...partsOf(kind.target));
  }
  return [...places, await placeOf(current, undefined)];
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

async function placeOf(directory: string, name: string | undefined): Promise<Place> {
  const stats = await lstat(directory, { bigint: true }).catch(() => undefined);
  return { directory, name, key: `${stats?.dev}:${stats?.ino}:${directory}:${name ?? ""}` };
}

async function kindOf(path: string): Promise<"directory" | "other" | { readonly target: string }> {
  try {
    const stats = await lstat(path);
    if (stats.isSymbolicLink()) return { target: await readlink(path) };
    return stats.isDirectory() ? "directory" : "other";
  } catch {
    return "other"; // missing, or not to be seen: the directory around it tells when that changes
  }
}

function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
