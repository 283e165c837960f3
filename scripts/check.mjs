// Types, lint (with the layers and no import cycles) and format. `--fix` mends what can be mended without thought.
import { bin, isProgram, run, script } from "./run.mjs";
import { setup } from "./setup.mjs";

const steps = {
  types: [bin("tsc"), "--project", ".", "--noEmit"],
  lint: [bin("biome"), "lint", "--error-on-warnings"],
  format: [bin("biome"), "check", "--linter-enabled=false"], // and the order of imports
};

/**
 * Runs every step, also after one that failed.
 * @param {number} timeout Milliseconds for each.
 * @returns {Promise<{ passed: number, failed: number }>} How many steps.
 */
export async function check(timeout = 300_000) {
  let failed = 0;
  for (const [name, [file, ...args]] of Object.entries(steps)) {
    const { code, timedOut } = await run(file, args, { timeout });
    if (code === 0) continue;
    failed += 1;
    console.error(`check: ${name} failed${timedOut ? ", it took too long" : ""}`);
  }
  return { passed: Object.keys(steps).length - failed, failed };
}

async function main() {
  await setup({ need: ["npm"] });
  if (process.argv.includes("--fix")) await run(bin("biome"), ["check", "--write"]);
  const { failed } = await check();
  return failed === 0 ? 0 : 1;
}

if (isProgram(import.meta.url)) await script(main);
