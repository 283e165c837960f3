// Tests on an emulated machine with Debian's kernel, which has WireGuard and ESP:
//   node scripts/lab.mjs [--short] [-t NAME] [FILES...]   the ring `lab`, or the short part of it, or files by name
//   node scripts/lab.mjs --shell 'COMMAND'                a command of bash there; its exit status is ours
//   node scripts/lab.mjs --serve DIRECTORY                a machine that stays, until this is ended; and
//   node scripts/lab.mjs --via DIRECTORY ...              as above, on that one
// With --no-build the executable in dist/ is taken as it is.
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bundle } from "./lab/bundle.mjs";
import { boot, consoleTail, files, runJob } from "./lab/machine.mjs";
import { Failure, isProgram, root, script } from "./run.mjs";
import { score } from "./score.mjs";
import { setup } from "./setup.mjs";

/** Milliseconds for everything, unless told. */
const BOUND = 90 * 60_000;

/** Milliseconds for one test. */
const TEST_BOUND = 600_000;

/**
 * Runs the ring, or some files of it.
 * @param {object} options `short`: only test/lab/short; `files`: parts of names, or paths; `name`: a pattern of names of
 *   tests; `timeout`: milliseconds for all of it; `via`: the directory of a machine that runs.
 * @returns {Promise<{ passed: number, failed: number }>}
 */
export async function runLab({ short = false, files: wanted = [], name = "", timeout = BOUND, via } = {}) {
  const tests = testFiles(short ? "test/lab/short" : "test/lab", wanted);
  if (tests.length === 0) throw new Failure(`There is no file of the ring lab that is named so: ${wanted.join(", ")}`);
  const reports = [];
  const code = await onMachine(via, timeout, (directory, rest) => {
    return runJob(directory, {
      ...rest,
      prepare: (share) => bundle(tests, share, `/lab/${share.slice(share.lastIndexOf("/") + 1)}`),
      script: (share) => `
        export LAB_TIMEOUT=${TEST_BOUND} LAB_PATTERN=${quoted(name)} failed=0
        for index in ${tests.map((_, index) => index).join(" ")}; do
          LAB_REPORT=${share}/$index.json node --enable-source-maps ${share}/$index.mjs || failed=1
        done
        exit $failed`,
      collect: (share) => reports.push(...tests.map((file, index) => readReport(join(share, `${index}.json`), file))),
    });
  });
  return scored(reports, code);
}

/** Files of tests: those in a directory whose name contains one of `wanted`, and files that are wanted by their path. */
function testFiles(directory, wanted) {
  const all = readdirSync(join(root, directory), { recursive: true })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => join(root, directory, name))
    .sort();
  const named = wanted.filter((name) => existsSync(resolve(name)) && name.endsWith(".ts")).map((name) => resolve(name));
  const parts = wanted.filter((name) => !named.includes(resolve(name)));
  const found = all.filter((name) => wanted.length === 0 || parts.some((part) => name.includes(part)));
  return [...new Set([...named, ...found])];
}

function readReport(file, test) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return { name: test, status: "failed", isBroken: true, assertionResults: [] }; // it died
  }
}

/** Counted as every ring is, by a report like vitest's. */
function scored(reports, code) {
  const directory = mkdtempSync(join(tmpdir(), "podvpn-lab-"));
  try {
    const tests = reports.flatMap(({ assertionResults }) => assertionResults);
    const report = {
      numTotalTests: tests.length,
      numPassedTests: tests.filter(({ status }) => status === "passed").length,
      testResults: reports,
    };
    writeFileSync(join(directory, "report.json"), JSON.stringify(report));
    return score(join(directory, "report.json"), code);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** A machine for one job; on failure its console is kept. */
async function onMachine(via, timeout, job) {
  const until = Date.now() + timeout;
  const interrupt = new AbortController();
  const off = onSignals(() => interrupt.abort());
  const rest = { timeout, signal: interrupt.signal, onOutput: (text) => process.stdout.write(text) };
  if (via !== undefined) return await job(resolve(via), rest).finally(off);
  const directory = mkdtempSync(join(tmpdir(), "podvpn-lab-"));
  let machine;
  let code;
  try {
    machine = await boot(directory, interrupt.signal);
    code = await job(directory, { ...rest, timeout: Math.max(until - Date.now(), 1) });
  } catch (error) {
    if (machine !== undefined) console.error(`The end of the machine's console:\n${consoleTail(directory)}`);
    throw error;
  } finally {
    off();
    machine?.kill();
    if (code !== 0) keepConsole(directory);
    rmSync(directory, { recursive: true, force: true });
  }
  return code;
}

function keepConsole(directory) {
  const { console: log } = files(directory);
  if (!existsSync(log)) return;
  const kept = join(tmpdir(), `podvpn-lab-console-${process.pid}.log`);
  cpSync(log, kept);
  console.error(`The machine's console: ${kept}`);
}

function onSignals(action) {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, action);
  return () => {
    for (const signal of signals) process.off(signal, action);
  };
}

async function serve(directory) {
  mkdirSync(directory, { recursive: true });
  if (readdirSync(directory).length > 0) throw new Failure(`${directory} is not empty: give a directory of its own.`);
  const interrupt = new AbortController();
  const off = onSignals(() => interrupt.abort());
  const interrupted = once(interrupt.signal, "abort").then(() => "interrupted");
  let machine;
  try {
    machine = await boot(directory, interrupt.signal);
    console.log(`The machine takes jobs: node scripts/lab.mjs --via ${directory} ...`);
    const how = await Promise.race([machine.ended, interrupted]);
    console.log(`The machine has ended: ${how}`);
  } finally {
    off();
    machine?.kill();
    rmSync(directory, { recursive: true, force: true });
  }
  return 0;
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      short: { type: "boolean" },
      testNamePattern: { type: "string", short: "t" },
      shell: { type: "string" },
      serve: { type: "string" },
      via: { type: "string" },
      "no-build": { type: "boolean" },
    },
  });
  const { short, testNamePattern: name, shell, via } = values;
  const need = ["root", "apt", "test", "lab", "npm"];
  // On a machine that stays, an edit of a test must cost seconds: it has the executable that there was.
  if (via === undefined) await setup({ need: values["no-build"] ? need : [...need, "build"] });
  if (values.serve !== undefined) return await serve(resolve(values.serve));
  if (shell !== undefined)
    return await onMachine(via, BOUND, (at, rest) => runJob(at, { ...rest, script: () => shell }));
  const { passed, failed } = await runLab({ short, files: positionals, name, via });
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

if (isProgram(import.meta.url)) await script(main);
