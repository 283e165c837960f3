// Makes a fresh machine ready: Debian packages, npm packages, the build. Quick when nothing is missing.
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { kubernetesPackages, labPackages, runtimePackages, runtimesPackages, testPackages } from "./packages.mjs";
import { promtool } from "./promtool.mjs";
import { cnitool, cri, referencePlugins } from "./reference.mjs";
import { Failure, node, root, run } from "./run.mjs";

/**
 * @param {{ need: ("root" | "apt" | "test" | "runtimes" | "lab" | "kubernetes" | "npm" | "reference" | "promtool" | "build")[] }} options
 *   What the caller is about to use: root's rights; the programs of `runtimePackages` (`apt`), and of `testPackages`,
 *   `runtimesPackages` and so on; npm packages; the CNI project's own programs; Prometheus' promtool; the executable in
 *   dist/.
 */
export async function setup({ need }) {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Failure("podvpn runs on Linux on x86-64 only: use such a machine, or a virtual one with Debian 12.");
  }
  if (need.includes("root") && process.getuid() !== 0) {
    throw new Failure("Network namespaces need root: run the same command as root.");
  }
  const packages = {
    ...(need.includes("apt") ? runtimePackages : {}),
    ...(need.includes("test") ? testPackages : {}),
    ...(need.includes("runtimes") ? runtimesPackages : {}),
    ...(need.includes("lab") ? labPackages : {}),
    ...(need.includes("kubernetes") ? kubernetesPackages : {}),
  };
  if (Object.keys(packages).length > 0) await installDebianPackages(packages);
  if (need.includes("npm") || need.includes("build")) await installNpmPackages();
  if (need.includes("reference")) await reference();
  if (need.includes("promtool")) await promtool();
  if (need.includes("build")) await build();
}

async function installDebianPackages(reasons) {
  const missing = await missingPackages(Object.keys(reasons));
  if (missing.length === 0) return;
  if (!isDebian()) {
    throw new Failure(
      `This is not Debian: run it on Debian 12 (a container will do), or install by hand what is in its packages ${missing.join(", ")}.`,
    );
  }
  if (process.getuid() !== 0) {
    throw new Failure(`Run the same command as root once, so that apt can install ${missing.join(", ")}.`);
  }
  console.log("Installing Debian packages with apt-get (a minute or so):");
  for (const name of missing) console.log(`  ${name.padEnd(31)} ${reasons[name]}`);
  await aptGet("update");
  await aptGet("install", "--yes", "--no-install-recommends", ...missing);
  if (missing.includes("charon-systemd") && existsSync("/run/systemd/system")) {
    console.log("Debian has started strongswan.service; podvpn does not use it: `systemctl disable --now strongswan`.");
  }
}

/** Those that dpkg does not know as fully installed. */
async function missingPackages(names) {
  let output;
  try {
    // Exit status 1 only says that some are unknown.
    const format = `\${Package} \${db:Status-Status}\\n`;
    ({ output } = await run("dpkg-query", ["--show", `--showformat=${format}`, ...names], { capture: true }));
  } catch {
    return names;
  }
  const installed = new Set(output.split("\n").filter((line) => line.endsWith(" installed")));
  return names.filter((name) => !installed.has(`${name} installed`));
}

function isDebian() {
  try {
    const release = readFileSync("/etc/os-release", "utf8");
    return /^ID(_LIKE)?=.*\bdebian\b/m.test(release) && existsSync("/usr/bin/apt-get");
  } catch {
    return false;
  }
}

async function aptGet(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const { code, output } = await run("apt-get", ["-q", "-o", "Dpkg::Use-Pty=0", ...args], { env, capture: true });
  if (code === 0) return;
  console.error(output.trimEnd());
  throw new Failure(`apt-get ${args[0]} failed: see its words above; mind the network and /etc/apt/sources.list.`);
}

async function installNpmPackages() {
  const difference = npmDifference();
  if (difference === undefined) return;
  console.log(`Installing npm packages with npm ci (${difference}):`);
  // Not with the Node of node_modules, which npm is about to replace. Install scripts are not needed by any package:
  // what is native is prebuilt.
  const path = process.env.PATH.split(delimiter).filter((directory) => !directory.endsWith("node_modules/.bin"));
  const { code, output } = await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
    env: { ...process.env, PATH: path.join(delimiter) },
    capture: true,
  }).catch(() => {
    throw new Failure("There is no npm: install Node.js 20 or newer together with npm.");
  });
  if (code !== 0) {
    console.error(output.split("\n").slice(0, 20).join("\n")); // after that, its manual
    throw new Failure("npm ci failed: see its words above; mind the network and the registry in .npmrc.");
  }
  const left = npmDifference();
  if (left !== undefined) throw new Failure(`npm ci ended well, but ${left}: remove node_modules and try again.`);
}

/**
 * How node_modules differs from package-lock.json, in words; undefined when it does not.
 * npm itself records what it installed in node_modules/.package-lock.json, as its last step.
 */
function npmDifference() {
  const wanted = readJson("package-lock.json");
  const installed = readJson("node_modules/.package-lock.json");
  if (wanted === undefined) throw new Failure("There is no package-lock.json: clone the project anew.");
  if (installed === undefined) return "there is no node_modules";
  for (const [path, entry] of Object.entries(wanted.packages)) {
    if (!path.startsWith("node_modules/") || entry.link || !isForHere(entry)) continue;
    const present = installed.packages[path]?.version;
    if (present !== entry.version) return `${path.replace(/.*node_modules\//, "")} is ${present ?? "missing"}`;
  }
  return existsSync(node) ? undefined : "there is no node_modules/.bin/node";
}

/** Optional packages are prebuilt binaries, one for each platform: wanted is ours, which npm at times forgets. */
function isForHere({ optional, os = [], cpu = [], libc = ["glibc"] }) {
  return !optional || (os.includes("linux") && cpu.includes("x64") && libc.includes("glibc"));
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(join(root, path), "utf8"));
  } catch {
    return undefined;
  }
}

async function reference() {
  await referencePlugins();
  await cnitool();
  await cri();
}

async function build() {
  const { code } = await run(node, [join(root, "scripts/build.mjs")]);
  if (code !== 0) throw new Failure("The build failed: see its words above.");
}
