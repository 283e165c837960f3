// Writes the configuration tables of README.md from the schemas, each between its two markers.
//   node scripts/config-table.mjs [--check] [FILE]     --check changes nothing and fails when the table is out of date
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { build } from "esbuild";

/** What stands before and behind each table; the file must have at least one of them. */
const markers = {
  strongswan: ["<!-- config-table:begin -->", "<!-- config-table:end -->"],
  wireguard: ["<!-- config-table-wireguard:begin -->", "<!-- config-table-wireguard:end -->"],
  agent: ["<!-- config-table-agent:begin -->", "<!-- config-table-agent:end -->"],
};
const root = new URL("..", import.meta.url).pathname;

/** Bundled, because the sources use syntax that Node's type stripping does not take away. */
async function loadFields() {
  const exports = ["strongswan-fields", "wireguard-fields", "agent-fields"].map(
    (name) => `export * from "./src/config/${name}.ts";`,
  );
  const { outputFiles } = await build({
    stdin: { contents: exports.join("\n"), resolveDir: root },
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

function tableOf(rows) {
  return ["| Key | Value | Default | Meaning |", "|---|---|---|---|", ...rows].join("\n");
}

/** As it was when there is no such table in it. */
function withTable(text, [beginMarker, endMarker], table) {
  const begin = text.indexOf(beginMarker);
  const end = text.indexOf(endMarker);
  if (begin < 0 && end < 0) return text;
  if (begin < 0 || end < begin) throw new Error(`${file} has no ${beginMarker} … ${endMarker}`);
  return `${text.slice(0, begin + beginMarker.length)}\n${table}\n${text.slice(end)}`;
}

const { values, positionals } = parseArgs({ options: { check: { type: "boolean" } }, allowPositionals: true });
const file = positionals[0] ?? `${root}README.md`;
const { vpnFields, rootFields, wireguardFields, peerFields, ...agent } = await loadFields();
const agentSections = ["registry", "underlay", "wireguard", "ipsec", "probe", "metrics"];
/** The fields of a section of agent.yaml. */
const agentSection = (name) => agent[`agent${name[0].toUpperCase()}${name.slice(1)}Fields`]();
const tables = {
  strongswan: tableOf([...rows(vpnFields(), "vpn."), ...rows(rootFields(), "")]),
  wireguard: tableOf([...rows(wireguardFields(), "wireguard."), ...rows(peerFields(), "wireguard.peers[].")]),
  agent: tableOf([
    ...rows(agent.agentFields(), "").filter((row) => !agentSections.some((name) => row.startsWith(`| \`${name}\` `))),
    ...agentSections.flatMap((name) => rows(agentSection(name), `${name}.`)),
  ]),
};
const before = readFileSync(file, "utf8");
if (!Object.values(markers).some(([begin]) => before.includes(begin)))
  throw new Error(`${file} has no markers of a table`);
const after = Object.entries(tables).reduce((text, [name, table]) => withTable(text, markers[name], table), before);
if (after !== before && values.check) {
  console.error(`${file}: the configuration table is out of date; run node scripts/config-table.mjs`);
  process.exitCode = 1;
} else if (after !== before) {
  writeFileSync(file, after);
}
