import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bin, Failure, node, run } from "./run.mjs";
import { score } from "./score.mjs";

/**
 * Runs vitest, and counts its tests.
 * @param {string[]} args vitest's own: `--project` or `--config`, files.
 * @param {{ env?: object, timeout: number, reporter?: string, bound?: number }} options `env`: beside our own; `timeout`
 *   in milliseconds; `bound`: what the timeout is the rest of, to be told when it is over; `reporter`: for people.
 * @returns {Promise<{ passed: number, failed: number }>}
 * @throws {Failure} when it took longer, or died without a report.
 */
export async function runVitest(args, { env = {}, timeout, bound = timeout, reporter = "default" }) {
  const directory = mkdtempSync(join(tmpdir(), "podvpn-test-"));
  try {
    const report = join(directory, "report.json");
    const reporters = [`--reporter=${reporter}`, "--reporter=json", `--outputFile.json=${report}`];
    const { code, timedOut } = await run(node, [bin("vitest"), "run", ...args, ...reporters], {
      env: { ...process.env, ...env },
      timeout,
    });
    if (timedOut)
      throw new Failure(`The tests were killed: they must end within ${Math.round(bound / 60_000)} minutes.`);
    return score(report, code);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
