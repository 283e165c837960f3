// Writes the configuration table of README.md from the schema, between the two markers.
//   node scripts/config-table.mjs [--check] [FILE]     --check changes nothing and fails when the table is out of date
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { build } from "esbuild";

const BEGIN = "<!-- config-table:begin -->";
const END = "<!-- config-table:end -->";
const root = new URL("..", import.meta.url).pathname;

/** Bundled, because the sources use syntax that Node's type stripping does not take away. */
async function loadFields() {
  const { outputFiles } = await build({
    entryPoints: [`${root}src/config/strongswan-fields.ts`],
    bundle: true,
    platform: "node",
    format: "esm",
    write: false,
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
}

function rows(fields, prefix) {
  return Object.entries(fields).map(([key, field]) => {
    const absent = field.required ? "required" : defaultOf(field);
    return `| ${[`\`${prefix}${key}\``, field.expected, absent, field.docs].map(cell).join(" | ")} |`;
  });
}

function defaultOf(field) {
  const value = field.default;
  return value === undefined || value.length === 0 ? "" : `\`${value}\``;
}

/** A template's `<NAME>` or a `|` would be HTML or a column. */
function cell(text) {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}

function withTable(text, table) {
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`${file} has no ${BEGIN} … ${END}`);
  return `${text.slice(0, begin + BEGIN.length)}\n${table}\n${text.slice(end)}`;
}

const { values, positionals } = parseArgs({ options: { check: { type: "boolean" } }, allowPositionals: true });
const file = positionals[0] ?? `${root}README.md`;
const { vpnFields, rootFields } = await loadFields();
const table = [
  "| Key | Value | Default | Meaning |",
  "|---|---|---|---|",
  ...rows(vpnFields(), "vpn."),
  ...rows(rootFields(), ""),
].join("\n");
const before = readFileSync(file, "utf8");
const after = withTable(before, table);
if (after !== before && values.check) {
  console.error(`${file}: the configuration table is out of date; run node scripts/config-table.mjs`);
  process.exitCode = 1;
} else if (after !== before) {
  writeFileSync(file, after);
}
