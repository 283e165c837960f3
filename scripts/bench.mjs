// The bench, set-up included: node scripts/bench.mjs [--rounds N] [--plugin NAME] [--against DIRECTORY]...
import { join } from "node:path";
import { node, root, run, script } from "./run.mjs";
import { setup } from "./setup.mjs";

await script(async () => {
  await setup({ need: ["root", "apt", "test", "npm", "build"] });
  // Node reads the TypeScript as it is; the flags are those that it needs for that, and for the workspace's packages.
  const flags = [
    "--experimental-transform-types",
    "--disable-warning=ExperimentalWarning",
    "--conditions=podvpn-source",
  ];
  const { code } = await run(node, [...flags, join(root, "bench/plugins.bench.ts"), ...process.argv.slice(2)]);
  return code;
});
