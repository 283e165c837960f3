// Tests with a real Kubernetes: node scripts/kubernetes.mjs [strongswan | wireguard]
// Its programs are built from source at the first time, which takes a quarter of an hour, and kept.
// The last line is `N passed, N failed`.
import { accessSync, constants, mkdtempSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { cacheDirectory } from "./cache.mjs";
import { Failure, isProgram, root, run, script } from "./run.mjs";
import { setup } from "./setup.mjs";
import { runVitest } from "./vitest.mjs";

/** The Go module whose go.mod and go.sum pin every version. */
const module = join(root, "test/kubernetes");

/** The first takes nearly all of the time: it compiles what the others have in common with it. */
const programs = ["kube-apiserver", "kubelet", "kube-controller-manager", "kube-scheduler", "kubectl"];

/** Milliseconds, for slow and busy machines. */
const BUILD_BOUND = 90 * 60_000;
const RING_BOUND = 40 * 60_000;

const version = readFileSync(join(module, "go.mod"), "utf8").match(/^(?:require |\t)k8s\.io\/kubernetes v(\S+)/m)?.[1];
if (version === undefined) throw new Error(`${module}/go.mod has no k8s.io/kubernetes: restore the file.`);

/** @returns {string} The directory with the programs. @throws {Failure} when they are not built. */
export function builtPrograms() {
  const directory = cacheDirectory(`kubernetes-${version}`);
  const missing = programs.filter((program) => !isExecutable(join(directory, program)));
  if (missing.length === 0) return directory;
  throw new Failure(`There is no ${missing.join(", ")} in ${directory}: \`npm run test:kubernetes\` builds them.`);
}

/** Builds what is missing, one program at a time: what is complete is kept when the next one is interrupted. */
async function buildPrograms() {
  const directory = cacheDirectory(`kubernetes-${version}`);
  const missing = () => programs.filter((program) => !isExecutable(join(directory, program)));
  if (missing().length === 0) return;
  const { code } = await run("go", ["version"], { capture: true }).catch(() => ({ code: 127 }));
  if (code !== 0)
    throw new Failure("There is no Go: put the directory of go 1.26 or newer into PATH (https://go.dev/dl).");
  console.log(
    `Building Kubernetes ${version} from source, once: about 12 minutes on an idle core, 3 GB in Go's cache.`,
  );
  for (const program of missing()) {
    const start = Date.now();
    console.log(`${program} (${programs.indexOf(program) + 1} of ${programs.length})`);
    await buildProgram(directory, program);
    console.log(`${program} took ${Math.round((Date.now() - start) / 1000)} s`);
  }
}

/** Packages by hundreds, and every word that is not the name of one. */
const PROGRESS = `
/^[^ ]+$/ { compiled += 1; if (compiled % 100 == 0) { print "  " compiled " packages compiled"; fflush() }; next }
/^go: downloading / { next }
{ print; fflush() }`;

async function buildProgram(directory, program) {
  const aside = mkdtempSync(join(directory, ".build-"));
  const stamp = ["component-base/version", "client-go/pkg/version"].map(
    (path) => `-X k8s.io/${path}.gitVersion=v${version}`,
  );
  const output = join(aside, program);
  const build = ["go", "build", "-C", module, "-v", "-p", "1", "-trimpath", "-buildvcs=false"];
  const flags = [`-ldflags=-s -w ${stamp.join(" ")}`, "-o", output, `k8s.io/kubernetes/cmd/${program}`];
  const lock = join(cacheDirectory("locks"), "kubernetes");
  // Whoever waits for another's build finds all of it in Go's cache.
  const pipeline = ["bash", "-o", "pipefail", "-c", `"$@" 2>&1 | awk '${PROGRESS}'`, "bash"];
  try {
    const { code, timedOut } = await run("nice", [...pipeline, "flock", lock, ...build, ...flags], {
      env: { ...process.env, CGO_ENABLED: "0", GOWORK: "off", GOMAXPROCS: "1" },
      timeout: BUILD_BOUND,
    });
    if (timedOut) throw new Failure(`${program} was not built within ${BUILD_BOUND / 60_000} minutes.`);
    if (code !== 0) throw new Failure(`${program} was not built: see go's words above; mind the network and GOPROXY.`);
    renameSync(output, join(directory, program));
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const CGROUPS = "/sys/fs/cgroup";

/** Removes the control groups of this name, which no process may have any more, from all hierarchies. */
export function removeCgroup(name) {
  for (const hierarchy of directories(CGROUPS)) removeGroups(join(CGROUPS, hierarchy, name));
}

/** The files of a control group are the kernel's: only directories are removed, from below. */
function removeGroups(directory) {
  for (const name of directories(directory)) removeGroups(join(directory, name));
  try {
    rmdirSync(directory);
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
}

/** Removes disks and control groups of tests that were killed: their names tell whose they are. */
function removeForgotten() {
  const isForgotten = (name) => {
    const owner = /^podvpn-kubernetes-(\d+)-/.exec(name)?.[1];
    return owner !== undefined && !directories("/proc").includes(owner);
  };
  for (const name of directories(tmpdir()).filter(isForgotten)) rmSync(join(tmpdir(), name), { recursive: true });
  const groups = directories(CGROUPS).flatMap((hierarchy) => directories(join(CGROUPS, hierarchy)));
  for (const name of new Set(groups.filter(isForgotten))) removeCgroup(name);
}

function directories(path) {
  try {
    return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return []; // not there, or no directory
  }
}

async function main() {
  let total = { passed: 0, failed: 1 };
  try {
    const files = process.argv.slice(2).map((name) => `test/kubernetes/${basename(name)}`);
    await setup({ need: ["root", "apt", "test", "kubernetes", "npm", "build"] });
    removeForgotten();
    await buildPrograms();
    total = await runVitest(["--project", "kubernetes", ...files], { timeout: RING_BOUND, reporter: "verbose" });
  } catch (error) {
    console.error(error instanceof Failure ? error.message : error);
  } finally {
    removeForgotten();
  }
  console.log(`${total.passed} passed, ${total.failed} failed`);
  return total.failed === 0 ? 0 : 1;
}

if (isProgram(import.meta.url)) await script(main);
