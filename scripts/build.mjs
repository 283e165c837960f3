// Builds dist/podvpn, the single-file executable, and beside it the same program as plain bundles for tests.
//   dist/podvpn, dist/strongswan, …     one file under the names of its programs (src/programs.ts)
//   dist/bundle.cjs                  the same program for a plain Node 24, in one piece, with the addons beside it
//   dist/bundle-faults.cjs           the same, able to die after its k-th effect (src/os/effect.ts)
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { join, relative, resolve } from "node:path";
import { promisify } from "node:util";
import { Failure, isProgram, node, root, run, script } from "./run.mjs";
import { setup } from "./setup.mjs";

const require = createRequire(import.meta.url);

/** Native addons, as npm delivers them: prebuilt against Node-API and glibc. */
const addons = {
  netlink: join(root, "node_modules/netlink/prebuilds/linux-x64/node.napi.node"),
  koffi: join(root, "node_modules/@koromix/koffi-linux-x64/linux_x64/koffi.node"),
};

/** The modules of src/start. */
const parts = ["strongswan", "wireguard", "cli"];

const sha256 = (file) => createHash("sha256").update(readFileSync(file)).digest("hex");

/**
 * @param {string} directory Where the files go.
 * @returns {Promise<boolean>} False when everything there was built from the same inputs.
 */
export async function build(directory) {
  if (isCurrent(directory)) return false;
  mkdirSync(directory, { recursive: true });
  // Built aside and renamed: who runs an executable meanwhile keeps it, who starts one gets the old or the new.
  const aside = mkdtempSync(join(directory, ".build-"));
  try {
    const { programs } = await import("../src/programs.ts");
    const inputs = await bundle(aside);
    for (const [name, file] of Object.entries(addons)) copyFileSync(file, join(aside, `${name}.node`));
    await seal(aside, join(aside, programs[0]));
    for (const program of programs.slice(1)) linkSync(join(aside, programs[0]), join(aside, program));
    const outputs = [...programs, "bundle.cjs", "bundle-faults.cjs", "netlink.node", "koffi.node"];
    for (const name of outputs) {
      rmSync(join(directory, name), { force: true }); // rename(2) does nothing between two links of one file
      renameSync(join(aside, name), join(directory, name));
    }
    writeStamp(directory, inputs, outputs);
    return true;
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

/**
 * Bundles the program twice: in one piece, and for the executable in parts: src/main.ts, which every start compiles,
 * and each module of src/start, which it loads as an asset when it is called for.
 * @returns {Promise<string[]>} Every file that went in, relative to the project.
 */
async function bundle(directory) {
  const esbuild = require("esbuild");
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const define = {
    PODVPN_VERSION: JSON.stringify(version),
    PODVPN_NETLINK_HASH: JSON.stringify(sha256(addons.netlink).slice(0, 32)),
    PODVPN_KOFFI_HASH: JSON.stringify(sha256(addons.koffi).slice(0, 32)),
    PODVPN_KILL_AFTER_ENABLED: "false",
    __dirname: '""', // only where netlink hands it to node-gyp-build
  };
  const options = {
    absWorkingDir: root,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "cjs",
    conditions: ["podvpn-source"],
    minify: true,
    legalComments: "none",
    metafile: true,
    supported: { "dynamic-import": false }, // import("node:net") by require: no ESM loader at run time
    logLevel: "warning",
    logOverride: { "empty-import-meta": "silent" }, // used in development only, see src/os/addon.ts
    define,
    plugins: [carriedAddons],
  };
  const wrapped = {
    banner: { js: "(function (exports, require, module) {" },
    footer: { js: "})" },
  };
  const outputs = {
    "bundle.cjs": { entryPoints: ["src/main.ts"] },
    "bundle-faults.cjs": { entryPoints: ["src/main.ts"], define: { ...define, PODVPN_KILL_AFTER_ENABLED: "true" } },
    "main.cjs": { entryPoints: ["src/main.ts"], plugins: [carriedAddons, separateParts] },
    ...Object.fromEntries(parts.map((name) => [`${name}.cjs`, { entryPoints: [`src/start/${name}.ts`], ...wrapped }])),
  };
  const used = [];
  for (const [name, special] of Object.entries(outputs)) {
    const { metafile } = await esbuild.build({ ...options, outfile: join(directory, name), ...special });
    used.push(...Object.keys(metafile.inputs).filter((path) => !path.includes(":"))); // "addon:…" is no file
  }
  const fixed = [
    "package.json",
    "package-lock.json",
    "scripts/build.mjs",
    "scripts/code-cache.mjs",
    ...Object.values(addons),
  ];
  return [...new Set([...used, ...fixed.map((path) => relative(root, resolve(root, path)))])].sort();
}

/**
 * `netlink` finds its addon with node-gyp-build, in directories that the executable does not have, as soon as it is
 * imported. Here it is loaded at the first socket: a refused configuration needs no native code.
 */
const carriedAddons = {
  name: "carried addons",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node-gyp-build$/ }, () => ({ path: "netlink", namespace: "addon" }));
    onLoad({ filter: /.*/, namespace: "addon" }, ({ path }) => ({
      contents: `const { loadAddon } = require("./src/os/addon.ts");
        module.exports = () => ({ get NativeNetlink() { return loadAddon("${path}").NativeNetlink; } });`,
      resolveDir: root,
    }));
  },
};

/** What src/main.ts imports from src/start comes from the executable's assets. */
const separateParts = {
  name: "separate parts",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.\/start\// }, ({ path }) => ({
      path: path.replace("./start/", "").replace(".ts", ""),
      namespace: "part",
    }));
    onLoad({ filter: /.*/, namespace: "part" }, ({ path }) => ({
      contents: `module.exports = require("./src/os/part.ts").loadPart("${path}");`,
      resolveDir: root,
    }));
  },
};

/** Makes the executable: pkg's SEA mode, which puts main.cjs, its code cache and the assets into a copy of Node. */
async function seal(directory, output) {
  for (const name of parts) await cachePart(directory, name);
  const files = [...Object.keys(addons).map((name) => `${name}.node`), ...parts.flatMap(partFiles)];
  // pkg works in a directory of random name below TMPDIR, and the path of `main` becomes part of the executable:
  // relative to there, it is the same in every build.
  process.env.TMPDIR = directory;
  seedCodeCache();
  const { log } = require("@yao-pkg/pkg/lib-es5/log.js");
  log.info = () => {};
  const { default: sea } = require("@yao-pkg/pkg/lib-es5/sea.js");
  await sea(join(directory, "main.cjs"), {
    nodePath: realpathSync(node),
    seaConfig: {
      main: "../main.cjs",
      useCodeCache: true,
      execArgvExtension: "none", // NODE_OPTIONS of whoever calls a plugin must not change it
      assets: Object.fromEntries(files.map((name) => [name.replace(/\.node$/, ""), join(directory, name)])),
    },
    targets: [{ nodeRange: "node24", platform: "linux", arch: "x64", output }],
  });
  writeFileSync(output, readFileSync(output)); // in one piece, see copyExecutable in src/os/executable.ts
  chmodSync(output, 0o755);
}

const partFiles = (name) => [`${name}.cjs`, `${name}.cache`];

/**
 * V8 lays out a code cache by random hashes, and fills it in an order that depends on its threads, so that no two
 * builds would be alike. These make it the same every time, and are the flags that V8 leaves out of the comparison
 * by which it accepts a cache.
 */
const DETERMINISTIC = ["--predictable", "--random-seed=1"];

async function cachePart(directory, name) {
  const { code, output } = await run(node, [...DETERMINISTIC, join(root, "scripts/code-cache.mjs"), directory, name], {
    env: {},
    capture: true,
  });
  if (code !== 0) throw new Failure(`There is no code cache for ${name}: ${output}`);
}

/** pkg has no option for the flags: it calls the generator through `promisify(execFile)`, and gets one that adds them. */
function seedCodeCache() {
  const childProcess = require("node:child_process");
  const execute = promisify(childProcess.execFile);
  const seeded = () => {
    throw new Error("pkg calls execFile in a new way");
  };
  seeded[promisify.custom] = (file, args, options) =>
    execute(file, args[0] === "--experimental-sea-config" ? [...DETERMINISTIC, ...args] : args, options);
  childProcess.execFile = seeded;
}

const stampFile = (directory) => join(directory, ".stamp.json");

function writeStamp(directory, inputs, outputs) {
  const stamp = {
    inputs: Object.fromEntries(inputs.map((path) => [path, sha256(join(root, path))])),
    outputs: Object.fromEntries(outputs.map((name) => [name, signature(join(directory, name))])),
  };
  writeFileSync(stampFile(directory), `${JSON.stringify(stamp, undefined, 2)}\n`);
}

/** Whether the stamp's inputs and outputs are what lies on disk. */
function isCurrent(directory) {
  try {
    const { inputs, outputs } = JSON.parse(readFileSync(stampFile(directory), "utf8"));
    return (
      Object.entries(outputs).every(([name, expected]) => signature(join(directory, name)) === expected) &&
      Object.entries(inputs).every(([path, expected]) => sha256(join(root, path)) === expected)
    );
  } catch {
    return false;
  }
}

function signature(file) {
  const { size, mtimeMs } = statSync(file);
  return `${size} bytes of ${mtimeMs}`;
}

async function main() {
  await setup({ need: ["npm"] });
  if (realpathSync(process.execPath) !== realpathSync(node)) {
    return (await run(node, process.argv.slice(1))).code;
  }
  const directory = resolve(process.argv[2] ?? join(root, "dist"));
  const start = Date.now();
  try {
    if (await build(directory)) {
      const megabytes = Math.round(statSync(join(directory, "podvpn")).size / 1e6);
      const kilobytes = Math.round(statSync(join(directory, "bundle.cjs")).size / 1e3);
      const seconds = ((Date.now() - start) / 1000).toFixed(1);
      console.log(`${directory}/podvpn: ${megabytes} MB (of it ${kilobytes} KB of ours), in ${seconds} s`);
    }
  } catch (error) {
    if (!error.errors) throw error;
    throw new Failure(`esbuild found ${error.errors.length} errors, see above.`);
  }
  return 0;
}

if (isProgram(import.meta.url)) await script(main);
