// In the guest: one file of tests with vitest's own runner and expectations, without its server and worker.
// Environment: LAB_REPORT, where the report goes; LAB_TIMEOUT, milliseconds for a test; LAB_PATTERN, names of tests.
import { writeFileSync } from "node:fs";
import { relative } from "node:path";

const config = {
  root: process.cwd(),
  name: "lab",
  setupFiles: [],
  passWithNoTests: false,
  allowOnly: false,
  retry: 0,
  repeats: 0,
  maxConcurrency: 1,
  testTimeout: Number(process.env.LAB_TIMEOUT),
  hookTimeout: Number(process.env.LAB_TIMEOUT),
  testNamePattern: process.env.LAB_PATTERN ? new RegExp(process.env.LAB_PATTERN) : undefined,
  sequence: { hooks: "stack", setupFiles: "list", shuffle: false, concurrent: false, seed: 1 },
  chaiConfig: { truncateThreshold: 400 },
  diffOptions: {},
  includeTaskLocation: false,
  logHeapUsage: false,
  expect: { requireAssertions: false, poll: { timeout: 10_000 } },
  experimental: { importDurations: { limit: 0 } },
  tags: [],
  tagsFilter: undefined,
  strictTags: false,
};

/** Runs the file, reports in vitest's JSON, and ends the process by its result. */
export async function runFile(path, load) {
  globalThis.__vitest_worker__ = { config, ctx: {}, environment: { name: "node" }, current: undefined, durations: {} };
  const { startTests } = await import("vitest/internal/browser");
  const { expect } = await import("vitest");
  expect.setState({ testPath: path, environment: "node" });
  const name = relative(config.root, path);
  const runner = {
    config,
    importFile: (_, source) => (source === "collect" ? load() : undefined),
    onBeforeRunTask: (test) => isChosen(test) && console.log(`   … ${title(test)}`),
    onAfterRunTask: (test) => {
      if (!isChosen(test)) return;
      console.log(` ${mark(test)} ${title(test)} ${Math.round(test.result?.duration ?? 0)} ms`);
      for (const error of test.result?.errors ?? []) show(test, error);
    },
  };
  const broken = [];
  for (const event of ["unhandledRejection", "uncaughtException"]) {
    process.on(event, (error) => {
      console.log(`${name}: ${event}: ${error?.stack ?? error}`);
      broken.push(error);
    });
  }
  console.log(name);
  const [file] = await startTests([path], runner);
  const tests = flat(file);
  for (const task of [file, ...suites(file), ...tests])
    for (const error of task.result?.errors ?? []) show(task, error);
  const assertionResults = tests.filter(isChosen).map((test) => ({
    title: test.name,
    fullName: title(test),
    status: test.result?.state === "pass" ? "passed" : "failed",
    duration: test.result?.duration,
    failureMessages: (test.result?.errors ?? []).map((error) => error.stack ?? error.message),
  }));
  const isBroken = broken.length > 0 || [file, ...suites(file)].some(({ result }) => (result?.errors ?? []).length > 0);
  const passed = assertionResults.filter(({ status }) => status === "passed").length;
  const isPassed = !isBroken && passed === assertionResults.length && passed > 0;
  writeFileSync(
    process.env.LAB_REPORT,
    JSON.stringify({ name, status: isPassed ? "passed" : "failed", isBroken, assertionResults }),
  );
  process.exit(isPassed ? 0 : 1);
}

const flat = (suite) => suite.tasks.flatMap((task) => (task.type === "suite" ? flat(task) : [task]));

const suites = (suite) => suite.tasks.flatMap((task) => (task.type === "suite" ? [task, ...suites(task)] : []));

/** Not among those that a pattern of names leaves out. What is skipped for another reason is a failure. */
const isChosen = (test) => config.testNamePattern === undefined || config.testNamePattern.test(title(test));

const mark = (test) => (test.result?.state === "pass" ? "✓" : test.mode === "run" ? "✗" : "-");

function title(task) {
  const names = [];
  for (
    let each = task;
    each !== undefined && each.type !== undefined && each.filepath === undefined;
    each = each.suite
  ) {
    names.unshift(each.name);
  }
  return names.join(" > ");
}

function show(task, error) {
  console.log(`\n FAILED ${title(task)}\n${error.stack ?? `${error.name}: ${error.message}`}`);
  for (const key of ["code", "details", "cause"]) if (error[key] !== undefined) console.log(`${key}:`, error[key]);
  if (error.diff) console.log(error.diff);
  else if (error.expected !== undefined) console.log("expected", error.expected, "\nreceived", error.actual);
}
