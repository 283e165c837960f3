import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { cnitool, cri, referencePlugins } from "../../scripts/reference.mjs";

const SCRIPT = fileURLToPath(new URL("../../scripts/reference.mjs", import.meta.url));

beforeAll(async () => {
  for (const build of [referencePlugins, cnitool, cri]) await build();
}, 20 * 60_000);

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "podvpn-reference-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("without Go the build of the reference programs says what to do", () => {
  const env = { PATH: directory, PODVPN_CACHE: directory };
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT], { env, encoding: "utf8" });
  expect(stderr).toMatch(/^There is no Go: put the directory of go 1\.\d+(\.\d+)? or newer into PATH .*\n$/);
  expect(stdout).toBe("");
  expect(status).toBe(1);
});

test("what has been built is found again, without Go", () => {
  const { status, stdout } = spawnSync(process.execPath, [SCRIPT], {
    env: { ...process.env, PATH: directory },
    encoding: "utf8",
  });
  expect(stdout).toMatch(/^\S+\/reference-\S+\n\S+\/cnitool\n\S+\/cri\n$/);
  expect(status).toBe(0);
});
