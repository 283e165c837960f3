// Where the scripts keep what is fetched or built once and is the same in every checkout: a kernel, Go programs.
import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/**
 * A directory of the cache, made when it is not there. Outside of the repository: a fresh clone finds it filled.
 * `PODVPN_CACHE` puts the whole cache elsewhere.
 * @param {string} name Of one thing with its version: what is in it never changes once it is complete.
 */
export function cacheDirectory(name) {
  const { PODVPN_CACHE, XDG_CACHE_HOME } = process.env;
  const own = join(XDG_CACHE_HOME ?? join(homedir(), ".cache"), "podvpn");
  const directory = join(PODVPN_CACHE ?? (process.getuid() === 0 ? "/var/cache/podvpn" : own), name);
  mkdirSync(directory, { recursive: true });
  return directory;
}
