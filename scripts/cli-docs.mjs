// Writes docs/cli from the commands' help: a page a command, and an index.
//   node scripts/cli-docs.mjs [--check] [DIRECTORY]     --check changes nothing and fails when a page is out of date
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build } from "esbuild";

const root = new URL("..", import.meta.url).pathname;

/** Bundled, because the sources use syntax that Node's type stripping does not take away. No command is run. */
async function loadCommands() {
  const directory = mkdtempSync(join(tmpdir(), "podvpn-docs-"));
  const outfile = join(directory, "commands.mjs");
  try {
    await build({
      stdin: {
        contents: 'export * from "./src/cli/commands.ts"; export * from "./src/cli/manual.ts";',
        resolveDir: root,
      },
      bundle: true,
      platform: "node",
      format: "esm",
      conditions: ["podvpn-source"],
      banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
      define: { __dirname: '""' }, // only where netlink looks for its addon
      plugins: [withoutAddons],
      outfile,
      logLevel: "error",
    });
    return await import(outfile);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** What a help is made of needs no native code. */
const withoutAddons = {
  name: "without addons",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node-gyp-build|koffi)$/ }, ({ path }) => ({ path, namespace: "addon" }));
    onLoad({ filter: /.*/, namespace: "addon" }, () => ({ contents: "module.exports = () => ({});" }));
  },
};

function indexPage(commands) {
  const rows = commands.map(({ name, summary }) => `| [podvpn ${name}](${name}.md) | ${summary} |`);
  return ["# podvpn's commands", "", "| Command | Does |", "|---|---|", ...rows, ""].join("\n");
}

/** All pages by their names. */
async function pages() {
  const { commands, manualPage } = await loadCommands();
  const made = new Map([["README.md", indexPage(commands)]]);
  for (const { name, summary, load } of commands) {
    made.set(`${name}.md`, manualPage(name, summary, (await load()).help));
  }
  return made;
}

function existing(directory) {
  try {
    return readdirSync(directory).filter((name) => name.endsWith(".md"));
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
}

const { values, positionals } = parseArgs({ options: { check: { type: "boolean" } }, allowPositionals: true });
const directory = positionals[0] ?? join(root, "docs/cli");
const wanted = await pages();
const there = existing(directory);
const stale = [
  ...there.filter((name) => !wanted.has(name)),
  ...[...wanted]
    .filter(([name, page]) => !there.includes(name) || readFileSync(join(directory, name), "utf8") !== page)
    .map(([name]) => name),
];
if (values.check) {
  for (const name of stale) console.error(`${join(directory, name)} is out of date; run node scripts/cli-docs.mjs`);
  if (stale.length > 0) process.exitCode = 1;
} else {
  mkdirSync(directory, { recursive: true });
  for (const name of stale) {
    const page = wanted.get(name);
    if (page === undefined) rmSync(join(directory, name));
    else writeFileSync(join(directory, name), page);
  }
}
