// The benches, set-up included: node scripts/bench.mjs [plugins] [--rounds N] [--plugin NAME] [--against DIRECTORY]...
// or node scripts/bench.mjs hub [--pods N] [--charons N], or node scripts/bench.mjs mesh [--rounds N] [--seconds N].
import { join } from "node:path";
import { node, root, run, script } from "./run.mjs";
import { setup } from "./setup.mjs";

await script(async () => {
  const [first = "", ...others] = process.argv.slice(2);
  const [name, args] = ["plugins", "hub", "mesh"].includes(first)
    ? [first, others]
    : ["plugins", process.argv.slice(2)];
  await setup({ need: ["root", "apt", "test", "npm", "build"] });
  // Node reads the TypeScript as it is; the flags are those that it needs for that, and for the workspace's packages.
  const flags = [
    "--experimental-transform-types",
    "--disable-warning=ExperimentalWarning",
    "--conditions=podvpn-source",
  ];
  const { code } = await run(node, [...flags, join(root, `bench/${name}.bench.ts`), ...args]);
  return code;
});
