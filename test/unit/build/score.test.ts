import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const root = new URL("../../..", import.meta.url).pathname;
const { score }: { score(file: string, code: number): { passed: number; failed: number } } = await import(
  `${root}scripts/score.mjs`
);

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "podvpn-score-"));
  symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
  mkdirSync(join(directory, "test"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Runs vitest itself on a file with `body`. */
function suite(body: string): { passed: number; failed: number } {
  writeFileSync(join(directory, "test/a.test.mjs"), `import { test } from "vitest";\n${body}\n`);
  const report = join(directory, "report.json");
  const args = ["run", "--reporter=json", `--outputFile.json=${report}`];
  const { status } = spawnSync(join(root, "node_modules/.bin/vitest"), args, {
    cwd: directory,
    env: { ...cleanEnv() },
  });
  return score(report, status ?? 1);
}

/** Without what the vitest that runs this test has put there. */
function cleanEnv(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("VITEST")));
}

describe("score", () => {
  test.each<[what: string, body: string, passed: number, failed: number]>([
    ["counts what passed", 'test("a", () => {}); test("b", () => {});', 2, 0],
    ["counts what failed", 'test("a", () => {}); test("b", () => { throw new Error("no"); });', 1, 1],
    ["takes a skipped test for a failed one", 'test("a", () => {}); test.skip("b", () => {});', 1, 1],
    ["takes a todo for a failed test", 'test("a", () => {}); test.todo("b");', 1, 1],
    ["takes a file that breaks for a failed test", 'test("a", () => {}); throw new Error("no");', 0, 1],
    ["takes a suite without tests for a failed one", "", 0, 1],
    ["takes an error outside of tests for a failed one", 'test("a", () => {}); Promise.reject(new Error("no"));', 1, 1],
  ])("%s", (_what, body, passed, failed) => {
    expect(suite(body)).toEqual({ passed, failed });
  });

  test("refuses to count without a report", () => {
    expect(() => score(join(directory, "none.json"), 0)).toThrow("died without a report");
  });
});

test("the last line of a test run is the sum, whatever happens", () => {
  const { stdout, status } = spawnSync(
    join(root, "node_modules/.bin/node"),
    [join(root, "scripts/test.mjs"), "nosuch"],
    {
      encoding: "utf8",
    },
  );
  expect(stdout.trimEnd().split("\n").at(-1)).toBe("0 passed, 1 failed");
  expect(status).toBe(1);
});
