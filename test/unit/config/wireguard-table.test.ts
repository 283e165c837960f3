import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { peerFields, wireguardFields } from "../../../src/config/wireguard-fields.ts";

const root = new URL("../../../", import.meta.url).pathname;
const directory = mkdtempSync(join(tmpdir(), "podvpn-table-"));
afterAll(() => rmSync(directory, { recursive: true }));

const BEGIN = "<!-- config-table-wireguard:begin -->";
const END = "<!-- config-table-wireguard:end -->";
const keys = [
  ...Object.keys(wireguardFields()).map((key) => `wireguard.${key}`),
  ...Object.keys(peerFields()).map((key) => `wireguard.peers[].${key}`),
];

function configTable(...args: string[]) {
  return spawnSync(process.execPath, [join(root, "scripts/config-table.mjs"), ...args], { encoding: "utf8" });
}

/** The keys of the table between the markers. */
function keysIn(text: string): (string | undefined)[] {
  const table = text.slice(text.indexOf(BEGIN), text.indexOf(END));
  return [...table.matchAll(/^\| `([^`]+)`/gm)].map(([, key]) => key);
}

test("README has the table of wireguard", () => {
  expect(keysIn(readFileSync(join(root, "README.md"), "utf8"))).toEqual(keys);
});

test("a table that is out of date is found, and written anew in its place alone", () => {
  const file = join(directory, "README.md");
  writeFileSync(file, `before\n${BEGIN}\n| old |\n${END}\nafter\n`);
  expect(configTable("--check", file).status).toBe(1);
  expect(configTable(file).status).toBe(0);
  const text = readFileSync(file, "utf8");
  expect(text).toMatch(/^before\n<!-- [a-z:-]+ -->\n\| Key (?:.*\n)+<!-- [a-z:-]+ -->\nafter\n$/);
  expect(keysIn(text)).toEqual(keys);
  expect(text).toContain("| `wireguard.attach` | node or pod | `node` |");
  expect(text).toContain(
    "| `wireguard.peers[].publicKey` | a public key as wg pubkey writes it: 44 characters of base64 | required |",
  );
  expect(configTable("--check", file).status).toBe(0);
});

test("a marker without the other is refused", () => {
  const file = join(directory, "half.md");
  for (const text of [`${BEGIN}\n`, `${END}\n${BEGIN}\n`]) {
    writeFileSync(file, text);
    expect(configTable(file).status).toBe(1);
    expect(readFileSync(file, "utf8")).toBe(text);
  }
});
