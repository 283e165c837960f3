import { readFileSync } from "node:fs";
import { Failure } from "./run.mjs";

/**
 * Counts a suite's tests by vitest's JSON report.
 * What was not run did not pass: skipped and todo tests are failures, and so are a file that broke before its first
 * test, a suite without tests, and an error outside of all tests (for which vitest has only its exit status).
 * @param {string} file The report; missing when vitest died.
 * @param {number} code vitest's exit status.
 * @returns {{ passed: number, failed: number }}
 */
export function score(file, code) {
  const report = read(file);
  const passed = report.numPassedTests;
  const broken = report.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0);
  const failed = report.numTotalTests - passed + broken.length;
  if (failed > 0) return { passed, failed };
  return { passed, failed: code === 0 && passed > 0 ? 0 : 1 };
}

function read(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    throw new Failure("vitest died without a report.");
  }
}
