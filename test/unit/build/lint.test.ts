import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = new URL("../../..", import.meta.url).pathname;

/** File, its import, and the rule that must refuse it; none for an import that the layers allow. */
const cases: readonly (readonly [file: string, line: string, rule?: "noRestrictedImports" | "noImportCycles"])[] = [
  ["src/net/a.ts", 'import "../fault.ts";'],
  ["src/net/b.ts", 'import "./prefix.ts";'],
  ["src/net/c.ts", 'import "../os/file.ts";', "noRestrictedImports"],
  ["src/net/d.ts", 'export * from "../cni/result.ts";', "noRestrictedImports"],
  ["src/net/e.ts", 'await import("../os/file.ts");', "noRestrictedImports"],
  ["src/net/f.ts", 'import "vici";', "noRestrictedImports"],
  ["src/net/g.ts", 'import "node:fs";', "noRestrictedImports"],
  ["src/vici/a.ts", 'import "node:net";'],
  ["src/vici/b.ts", 'import "../fault.ts";', "noRestrictedImports"],
  ["src/vici/c.ts", 'import "node:fs";', "noRestrictedImports"],
  ["src/os/a.ts", 'import "node:fs";'],
  ["src/os/b.ts", 'import "../secret.ts";'],
  ["src/os/c.ts", 'import "../net/prefix.ts";', "noRestrictedImports"],
  ["src/cni/a.ts", 'import "../os/process.ts";'],
  ["src/cni/b.ts", 'import "../netlink/links.ts";', "noRestrictedImports"],
  ["src/cni/c.ts", 'import "../netlink/fault.ts";', "noRestrictedImports"],
  ["src/ipsec/a.ts", 'import "vici";'],
  ["src/ipsec/b.ts", 'import "../vici/index.ts";', "noRestrictedImports"],
  ["src/ipsec/c.ts", 'await import("node:child_process");', "noRestrictedImports"],
  ["src/nftables/b.ts", 'import "../netlink/netlink.ts";'],
  ["src/nftables/a.ts", 'import "../attachment/record.ts";', "noRestrictedImports"],
  ["src/wireguard/a.ts", 'import "../netlink/netlink.ts";'],
  ["src/wireguard/b.ts", 'import "../attachment/record.ts";', "noRestrictedImports"],
  ["src/node/a.ts", 'import "../wireguard/device.ts";'],
  ["src/node/b.ts", 'import "../../plugins/wireguard/main.ts";', "noRestrictedImports"],
  ["src/config/b.ts", 'import "../wireguard/key.ts";'],
  ["src/config/c.ts", 'import "../wireguard/device.ts";', "noRestrictedImports"],
  ["src/netlink/a.ts", 'import "netlink/dist/raw.js";'],
  ["src/guard/a.ts", 'import "netlink/dist/raw.js";', "noRestrictedImports"],
  ["src/guard/b.ts", 'import "../netlink/links.ts";'],
  ["src/guard/c.ts", 'import "../cli/main.ts";', "noRestrictedImports"],
  ["src/guard/d.ts", 'import "../../plugins/strongswan/main.ts";', "noRestrictedImports"],
  ["src/config/a.ts", 'import "../os/file.ts";', "noRestrictedImports"],
  ["src/cli/a.ts", 'import "../attachment/record.ts";'],
  ["src/cli/b.ts", 'import "node:child_process";', "noRestrictedImports"],
  ["src/cli/c.ts", 'import "koffi";', "noRestrictedImports"],
  ["plugins/strongswan/a.ts", 'import "node:fs/promises";', "noRestrictedImports"],
  ["test/unit/a.ts", 'import "node:fs";'],
  ["src/registry/a.ts", 'import "../config/fields.ts";'],
  ["src/registry/b.ts", 'import "../agent/driver.ts";', "noRestrictedImports"],
  ["src/mesh/a.ts", 'import "../registry/node-record.ts";'],
  ["src/mesh/b.ts", 'import "../os/file.ts";', "noRestrictedImports"],
  ["src/agent/a.ts", 'import "../node/record.ts";'],
  ["src/agent/b.ts", 'import "../cli/main.ts";', "noRestrictedImports"],
  ["src/cycle/a.ts", 'import "./b.ts";', "noImportCycles"],
  ["src/cycle/b.ts", 'import "./a.ts";', "noImportCycles"],
];

describe("the layers are kept by the linter", () => {
  const directory = mkdtempSync(join(tmpdir(), "podvpn-lint-"));
  const refused = new Map<string, Set<string>>();

  beforeAll(() => {
    copyFileSync(join(root, "biome.json"), join(directory, "biome.json"));
    symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
    for (const [file, line] of cases) {
      mkdirSync(dirname(join(directory, file)), { recursive: true });
      writeFileSync(join(directory, file), `${line}\n`);
    }
    const run = spawnSync(
      join(root, "node_modules/.bin/biome"),
      ["lint", "--reporter=json", "--max-diagnostics=none", "src", "plugins", "test"],
      { cwd: directory, encoding: "utf8" },
    );
    const report: { diagnostics: { category: string; location: { path: string } }[] } = JSON.parse(run.stdout);
    for (const { category, location } of report.diagnostics) {
      const rules = refused.get(location.path) ?? new Set();
      refused.set(location.path, rules.add(category.slice(category.lastIndexOf("/") + 1)));
    }
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  for (const [file, line, rule] of cases) {
    test(`${file}: ${line}`, () => {
      expect([...(refused.get(file) ?? [])]).toEqual(rule === undefined ? [] : [rule]);
    });
  }
});
