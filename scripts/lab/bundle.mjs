// Test files as the guest runs them: each in one piece with its part of vitest, as what vitest does at its start
// (a server, transforms, a process for each file) takes a minute under emulation.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { root } from "../run.mjs";

const RUNNER = fileURLToPath(new URL("runner.mjs", import.meta.url));

/**
 * @param {string[]} tests Paths of test files.
 * @param {string} output A directory, which gets `N.mjs` for the Nth of them.
 * @param {string} seenAs The directory's path when they run.
 */
export async function bundle(tests, output, seenAs) {
  const esbuild = createRequire(import.meta.url)("esbuild");
  /** Programs that the tests start by their path. */
  const programs = new Set();
  const options = {
    absWorkingDir: root,
    outdir: output,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    conditions: ["podvpn-source"],
    keepNames: true,
    sourcemap: "inline",
    sourcesContent: false,
    logLevel: "warning",
    banner: { js: 'import { createRequire as __cr } from "node:module"; const require = __cr(import.meta.url);' },
    external: ["koffi", "netlink"], // they find their addons beside themselves
    plugins: [inPlace(programs, seenAs)],
  };
  const contents = (file) => `
    import { runFile } from ${JSON.stringify(RUNNER)};
    await runFile(${JSON.stringify(resolve(file))}, () => import(${JSON.stringify(resolve(file))}));`;
  for (const [index, file] of tests.entries()) {
    const stdin = { contents: contents(file), resolveDir: root, sourcefile: `lab:${relative(root, file)}` };
    await esbuild.build({ ...options, outdir: undefined, outfile: join(output, `${index}.mjs`), stdin });
  }
  for (const done = new Set(); done.size < programs.size; ) {
    const entryPoints = [...programs].filter((file) => !done.has(file));
    await esbuild.build({ ...options, entryPoints, entryNames: "[name]" });
    for (const file of entryPoints) done.add(file);
  }
}

/**
 * Our files believe to be where they were: what they say of their own place is put in as a text. TypeScript that they
 * start as a program is bundled as well: Node would compile it at each start.
 */
const inPlace = (programs, seenAs) => ({
  name: "in place",
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const url = pathToFileURL(path).href;
      const contents = readFileSync(path, "utf8")
        .replace(/new URL\("(\.[^"]*\.ts)", import\.meta\.url\)/g, (_, other) => {
          const program = resolve(dirname(path), other);
          programs.add(program);
          return `new URL(${JSON.stringify(`file://${seenAs}/${basename(program, ".ts")}.mjs`)})`;
        })
        .replaceAll("import.meta.url", JSON.stringify(url))
        .replaceAll("import.meta.dirname", JSON.stringify(dirname(path)))
        .replaceAll("import.meta.filename", programs.has(path) ? "import.meta.filename" : JSON.stringify(path));
      return { contents, loader: "ts" };
    });
  },
});
