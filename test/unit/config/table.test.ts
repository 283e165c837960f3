import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { rootFields, vpnFields } from "../../../src/config/strongswan-fields.ts";

const root = new URL("../../../", import.meta.url).pathname;
const directory = mkdtempSync(join(tmpdir(), "podvpn-table-"));
afterAll(() => rmSync(directory, { recursive: true }));

function configTable(...args: string[]) {
  return spawnSync(process.execPath, [join(root, "scripts/config-table.mjs"), ...args], { encoding: "utf8" });
}

test("README's configuration table is what the schema says", () => {
  const { status, stderr } = configTable("--check");
  expect(stderr).toBe("");
  expect(status).toBe(0);
});

test("a table that is out of date is found, and written anew in its place alone", () => {
  const file = join(directory, "README.md");
  writeFileSync(file, "before\n<!-- config-table:begin -->\n| old |\n<!-- config-table:end -->\nafter\n");
  const check = configTable("--check", file);
  expect(check.status).toBe(1);
  expect(check.stderr).toContain("out of date");
  expect(readFileSync(file, "utf8")).toContain("| old |");

  expect(configTable(file).status).toBe(0);
  const text = readFileSync(file, "utf8");
  expect(text).toMatch(/^before\n<!-- config-table:begin -->\n\| Key (?:.*\n)+<!-- config-table:end -->\nafter\n$/);
  expect(text).not.toContain("| old |");
  const keys = [...Object.keys(vpnFields()).map((key) => `vpn.${key}`), ...Object.keys(rootFields())];
  expect([...text.matchAll(/^\| `([^`]+)`/gm)].map(([, key]) => key)).toEqual(keys);
});

test("a file without the markers is refused", () => {
  const file = join(directory, "other.md");
  writeFileSync(file, "nothing\n");
  expect(configTable(file).status).toBe(1);
  expect(readFileSync(file, "utf8")).toBe("nothing\n");
});
