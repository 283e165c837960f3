// The demo, set-up included: node scripts/demo.mjs [strongswan | wireguard | mesh] [--keep | --down]
import { join } from "node:path";
import { root, run, script } from "./run.mjs";
import { setup } from "./setup.mjs";

await script(async () => {
  await setup({ need: ["root", "apt", "npm", "build"] });
  const { code } = await run(join(root, "dist/podvpn"), ["demo", ...process.argv.slice(2)]);
  return code;
});
