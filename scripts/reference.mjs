// The CNI project's own programs, current versions, built from source: the reference plugins, and cnitool, which calls
// plugins as a runtime does. Debian's are years behind: they know no STATUS, no GC and no specification 1.1.0.
//   node scripts/reference.mjs     prints where they are
import { createHash } from "node:crypto";
import { accessSync, constants, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { cacheDirectory } from "./cache.mjs";
import { Failure, isProgram, root, run, script } from "./run.mjs";

/** Go modules: the go.mod and go.sum of each pin every version. */
const modules = { cni: join(root, "scripts/go/cni"), cri: join(root, "scripts/go/cri") };

const PLUGINS = "github.com/containernetworking/plugins";
const CNI = "github.com/containernetworking/cni";

/** Those that the tests use, of the eighteen that there are. */
const plugins = ["ipam/host-local", "main/bridge", "main/loopback", "meta/firewall", "meta/portmap", "meta/tuning"];

/** @returns {Promise<string>} The directory of the reference plugins: a CNI_PATH. */
export function referencePlugins() {
  const packages = plugins.map((path) => `${PLUGINS}/plugins/${path}`);
  return goPrograms(`reference-${pinned(modules.cni, PLUGINS)}`, modules.cni, packages);
}

/** @returns {Promise<string>} The path of cnitool. */
export async function cnitool() {
  return join(await goPrograms(`cnitool-${pinned(modules.cni, CNI)}`, modules.cni, [`${CNI}/cnitool`]), "cnitool");
}

/** @returns {Promise<string>} The path of our own client of CRI, see scripts/go/cri/main.go. */
export async function cri() {
  const hash = createHash("sha256");
  for (const file of ["main.go", "go.sum"]) hash.update(readFileSync(join(modules.cri, file)));
  const name = `cri-${hash.digest("hex").slice(0, 12)}`;
  return join(await goPrograms(name, modules.cri, ["podvpn/cri"]), "cri");
}

/**
 * Programs of a Go module, built once for all checkouts. Two that want them at the same time build one after the other,
 * and who uses them meanwhile never sees half a file.
 * @param {string} name Of the directory in the cache, with a version.
 * @param {string} module The directory of go.mod.
 * @param {string[]} packages Each is one program.
 * @returns {Promise<string>} The directory that holds exactly them.
 */
export async function goPrograms(name, module, packages) {
  const directory = cacheDirectory(name);
  const programs = packages.map((path) => basename(path));
  if (programs.every((program) => isExecutable(join(directory, program)))) return directory;
  const aside = mkdtempSync(`${directory}.build-`);
  try {
    await goBuild(module, `${aside}/`, packages);
    for (const program of programs) renameSync(join(aside, program), join(directory, program));
    return directory;
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

/** Static programs, which run in every root file system. What has been compiled before is taken from Go's own cache. */
async function goBuild(module, output, packages) {
  const args = ["build", "-C", module, "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", output, ...packages];
  const env = { ...process.env, CGO_ENABLED: "0", GOWORK: "off" };
  await requireGo(module);
  const lock = join(cacheDirectory("locks"), "go");
  const result = await run("flock", [lock, "go", ...args], { env, capture: true, timeout: BOUND });
  if (result.code === 0) return;
  console.error(result.output.trimEnd());
  const how = result.timedOut ? `took more than ${BOUND / 60_000} minutes` : "failed: see its words above";
  throw new Failure(`go build ${how}; mind the network and GOPROXY (\`go env GOPROXY\`).`);
}

/** Milliseconds: fifty times what the slowest build takes on a machine that does nothing else. */
const BOUND = 20 * 60_000;

async function requireGo(module) {
  const { code } = await run("go", ["version"], { capture: true }).catch(() => ({ code: 127 }));
  if (code === 0) return;
  const needed = read(module).match(/^go (\S+)$/m)?.[1];
  throw new Failure(`There is no Go: put the directory of go ${needed} or newer into PATH (https://go.dev/dl).`);
}

/** The version of a module that go.mod asks for. */
function pinned(module, name) {
  const version = read(module).match(new RegExp(`${name.replaceAll(".", "\\.")} v(\\S+)`))?.[1];
  if (version === undefined) throw new Failure(`${module}/go.mod does not name ${name}: restore the file.`);
  return version;
}

const read = (module) => readFileSync(join(module, "go.mod"), "utf8");

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function main() {
  console.log(await referencePlugins());
  console.log(await cnitool());
  console.log(await cri());
}

if (isProgram(import.meta.url)) await script(main);
