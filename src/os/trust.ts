import { lstatSync, realpathSync, type Stats } from "node:fs";

/**
 * Whether only root, or the user who runs this, can change the file that `stats` describes.
 * Group counts as others: Debian's /usr/local is writable by the group staff.
 */
export function isTrusted(stats: Stats): boolean {
  return hasTrustedOwner(stats) && (stats.mode & 0o022) === 0;
}

function hasTrustedOwner(stats: Stats): boolean {
  return stats.uid === 0 || stats.uid === process.geteuid?.();
}

/**
 * The first directory on the way to `directory`, itself included, in which somebody else could exchange what lies
 * there; undefined when there is none. What does not exist yet is left out; symbolic links are followed.
 * A sticky directory above it (/tmp, a bare tmpfs) is fine: there, nobody can rename what belongs to somebody else.
 */
export function untrustedDirectory(directory: string): string | undefined {
  const existing = nearestExisting(directory);
  const real = realpathSync(existing);
  for (let path = real; ; path = parent(path)) {
    const stats = lstatSync(path);
    const isAbove = path !== real || existing !== directory;
    const isSticky = isAbove && (stats.mode & STICKY) !== 0 && hasTrustedOwner(stats);
    if (!isTrusted(stats) && !isSticky) return path;
    if (path === "/") return undefined;
  }
}

/** S_ISVTX, which fs.constants does not have. */
const STICKY = 0o1000;

function nearestExisting(directory: string): string {
  for (let path = directory; path !== "/"; path = parent(path)) {
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return path;
  }
  return "/";
}

function parent(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}
