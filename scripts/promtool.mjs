// Prometheus' promtool, out of Debian's package, unpacked beside the system: the package itself would start a server.
//   node scripts/promtool.mjs     prints where it is
import { existsSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory } from "./cache.mjs";
import { Failure, isProgram, run, script } from "./run.mjs";

const PACKAGE = "prometheus";

/** @returns {Promise<string>} The path of promtool: fetched once for all checkouts. */
export async function promtool() {
  const cache = cacheDirectory("promtool");
  const path = join(cache, "promtool");
  if (!existsSync(path)) await fetchPromtool(cache, path);
  return path;
}

/** Who uses it meanwhile never sees half a file. */
async function fetchPromtool(cache, path) {
  console.log("Fetching promtool out of Debian's package prometheus (20 MB, once):");
  const aside = mkdtempSync(join(cache, ".fetch-"));
  const download = `cd "$0"; apt-get -q download ${PACKAGE}`;
  try {
    const { code } = await run("sh", ["-ec", download, aside], { capture: true });
    if (code !== 0) await shell(`apt-get -q update; ${download}`, aside);
    await shell(`cd "$0"; dpkg-deb --fsys-tarfile ./*.deb | tar -x ./usr/bin/promtool`, aside);
    renameSync(join(aside, "usr/bin/promtool"), path);
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

async function shell(commands, directory) {
  const { code, output } = await run("sh", ["-ec", commands, directory], { capture: true });
  if (code === 0) return;
  console.error(output.trimEnd());
  throw new Failure(`There is no promtool: see the words above; mind the network and /etc/apt/sources.list.`);
}

async function main() {
  console.log(await promtool());
}

if (isProgram(import.meta.url)) await script(main);
