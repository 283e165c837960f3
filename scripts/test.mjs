// All tests, or some rings of them: node scripts/test.mjs [unit|fuzz|build|netns|mesh|conformance|runtimes|soak|lab|mesh-full]…
// The last line is always `N passed, N failed`, over all suites; the exit status says the same.
import { check } from "./check.mjs";
import { runLab } from "./lab.mjs";
import { Failure } from "./run.mjs";
import { setup } from "./setup.mjs";
import { runVitest } from "./vitest.mjs";

/** In the order in which they run: the quick ones first. What each needs besides npm packages. */
const rings = {
  unit: [],
  fuzz: [],
  build: ["root", "apt", "test", "build"],
  netns: ["root", "apt", "test", "build"],
  mesh: ["root", "apt", "test", "promtool", "build"],
  conformance: ["root", "apt", "test", "reference", "build"],
  runtimes: ["root", "apt", "test", "runtimes", "reference", "build"],
  soak: ["root", "apt", "test", "build"],
  lab: ["root", "apt", "test", "lab", "build"],
};

/** Rings that are run by their name alone: all the others together must end within {@link BOUND}. */
const apart = {
  "mesh-full": ["root", "apt", "test", "build"],
};

/** How a ring is run where vitest on this very machine is not the way. */
const runners = {
  // The short form; all of it is `npm run test:lab`.
  lab: (timeout) => runLab({ short: true, files: [], timeout }),
};

/** For everything together, set-up included. What does not end until then is killed and counts as failed. */
const BOUND = 25 * 60_000;

const deadline = Date.now() + BOUND;
const total = { passed: 0, failed: 0 };

function count(name, { passed, failed }, start) {
  total.passed += passed;
  total.failed += failed;
  console.log(`${name}: ${passed} passed, ${failed} failed, in ${((Date.now() - start) / 1000).toFixed(1)} s\n`);
}

// run() passes it on to the part that runs, which cleans up after itself; no other is begun.
let interrupted = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => (interrupted = true));

/** Does one part; whatever goes wrong in it is one failure, and the rest is still done. */
async function part(name, action) {
  const start = Date.now();
  if (interrupted) {
    count(`${name} (interrupted)`, { passed: 0, failed: 1 }, start);
    return false;
  }
  try {
    count(name, await action(), start);
    return true;
  } catch (error) {
    console.error(error instanceof Failure ? error.message : error);
    count(name, { passed: 0, failed: 1 }, start);
    return false;
  }
}

/** Milliseconds until everything must have ended. */
const remaining = () => Math.max(deadline - Date.now(), 1);

async function main(wanted) {
  const names = wanted.length === 0 ? Object.keys(rings) : wanted;
  const known = { ...rings, ...apart };
  const unknown = names.find((name) => !(name in known));
  if (unknown !== undefined) {
    throw new Failure(
      `There is no ring "${unknown}": choose some of ${Object.keys(known).join(", ")}, or none for all.`,
    );
  }
  const isReady = await part("set-up", async () => {
    const need = new Set(names.flatMap((name) => known[name]));
    // Below: a broken build must not keep the unit tests from running.
    need.delete("build");
    need.delete("reference");
    await setup({ need: ["npm", ...need] });
    return { passed: 0, failed: 0 };
  });
  if (!isReady) return;
  if (wanted.length === 0) await part("check", () => check());
  for (const name of names) {
    await part(name, async () => {
      await setup({ need: known[name].filter((what) => what === "reference" || what === "build") });
      if (name in runners) return await runners[name](remaining());
      return await runVitest(["--project", name], { timeout: remaining(), bound: BOUND });
    });
  }
}

function finish() {
  console.log(`${total.passed} passed, ${total.failed} failed`);
  process.exit(total.failed === 0 ? 0 : 1);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Failure ? error.message : error);
  total.failed += 1;
}
finish();
