import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { commands } from "../../../src/cli/commands.ts";

const root = new URL("../../../", import.meta.url).pathname;
const directory = mkdtempSync(join(tmpdir(), "podvpn-cli-docs-"));
afterAll(() => rmSync(directory, { recursive: true }));

function cliDocs(...args: string[]) {
  return spawnSync(process.execPath, [join(root, "scripts/cli-docs.mjs"), ...args], { encoding: "utf8" });
}

test("docs/cli is what the commands' help says", () => {
  const { status, stderr } = cliDocs("--check");
  expect(stderr).toBe("");
  expect(status).toBe(0);
});

test("a page that is out of date, missing or of no command is found, and mended", () => {
  const page = readFileSync(join(root, "docs/cli/status.md"), "utf8");
  writeFileSync(join(directory, "status.md"), page.replace("--watch", "--look"));
  writeFileSync(join(directory, "gone.md"), "# podvpn gone\n");
  const { status, stderr } = cliDocs("--check", directory);
  expect(status).toBe(1);
  for (const name of ["status.md", "gone.md", "wg.md"]) expect(stderr).toContain(`${name} is out of date`);
  expect(readdirSync(directory).sort()).toEqual(["gone.md", "status.md"]);
  expect(readFileSync(join(directory, "status.md"), "utf8")).toContain("--look");

  expect(cliDocs(directory).status).toBe(0);
  expect(readdirSync(directory).sort()).toEqual([...commands.map(({ name }) => `${name}.md`), "README.md"].sort());
  expect(readFileSync(join(directory, "status.md"), "utf8")).toBe(page);
});
