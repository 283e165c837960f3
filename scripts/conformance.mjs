// The CNI conformance suite: the ring of the project's own tests, or any plugin at all:
//   node scripts/conformance.mjs --dir DIR --type TYPE --conf FILE [--version V] [--path DIR] [--delegate TYPE] [--setup FILE]
// The last line is always `N passed, N failed`; the exit status says the same.
import { accessSync, constants, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { Failure, root, script } from "./run.mjs";
import { setup } from "./setup.mjs";
import { runVitest } from "./vitest.mjs";

const USAGE = `Usage: npm run test:conformance -- --dir DIR --type TYPE --conf FILE [options]
  --dir DIR         where the plugin is
  --type TYPE       the name of its executable
  --conf FILE       a network configuration, or a list with others before it: their results are passed to it
  --version V       of the specification, such as 1.0.0; without it the newest that the plugin lists
  --path DIR        another directory of CNI_PATH, for delegates and other plugins; may be repeated
  --delegate TYPE   what it delegates to, if that is not its ipam; may be repeated
  --setup FILE      a shell script that prepares the node, on which nothing else runs
Without any of them, the ring of the project's own tests.`;

/** All in one; a plugin that hangs is given up 40 seconds after its call. */
const TIMEOUT = 30 * 60_000;

const VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

function options() {
  const text = { type: "string" };
  const list = { type: "string", multiple: true, default: [] };
  const known = { dir: text, type: text, conf: text, version: text, path: list, delegate: list, setup: text };
  try {
    return parseArgs({ options: known }).values;
  } catch (error) {
    throw new Failure(`${error.message}\n${USAGE}`);
  }
}

/** What test/conformance/given reads. */
function given({ dir, type, conf, version, path, delegate, setup: preparation }) {
  if (!dir || !type || !conf) throw new Failure(`--dir, --type and --conf are needed.\n${USAGE}`);
  if (version !== undefined && !VERSIONS.includes(version)) {
    throw new Failure(`--version ${version} is none of ${VERSIONS.join(", ")}.`);
  }
  for (const file of [conf, preparation]) {
    if (file !== undefined && !statSync(file, { throwIfNoEntry: false })?.isFile())
      throw new Failure(`There is no file ${file}.`);
  }
  try {
    accessSync(join(dir, type), constants.X_OK);
  } catch {
    throw new Failure(`There is no executable ${join(dir, type)}.`);
  }
  return {
    path: [dir, ...path].map((directory) => resolve(directory)),
    type,
    conf: resolve(conf),
    version,
    delegates: delegate,
    setup: preparation === undefined ? undefined : resolve(preparation),
  };
}

/** vitest's own arguments, and what the tests are told. */
function plan(values) {
  const wanted = Object.entries(values).some(([, value]) => value !== undefined && value.length > 0);
  if (!wanted) return { args: ["--project", "conformance"], told: undefined, need: ["build"] };
  const config = join(root, "test/conformance/given/vitest.config.ts");
  return { args: ["--config", config], told: JSON.stringify(given(values)), need: [] };
}

/** @returns {Promise<{ passed: number, failed: number }>} */
async function test({ args, told, need }) {
  await setup({ need: ["root", "apt", "test", "npm", ...need] });
  const env = told === undefined ? {} : { PODVPN_CONFORMANCE: told };
  return await runVitest(args, { env, timeout: TIMEOUT, reporter: "verbose" });
}

await script(async () => {
  let total = { passed: 0, failed: 1 };
  try {
    total = await test(plan(options()));
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    console.error(error.message);
  }
  console.log(`${total.passed} passed, ${total.failed} failed`);
  return total.failed === 0 ? 0 : 1;
});
