// Random faults for as long as one likes, N for the pods and N for a mesh of agents: node scripts/soak.mjs [--events N] [--seed S]
// Without a seed it is another soak each time; which, is told. The last line is `N passed, N failed`.
import { parseArgs } from "node:util";
import { Failure, script } from "./run.mjs";
import { setup } from "./setup.mjs";
import { runVitest } from "./vitest.mjs";

const EVENTS = 200;

/** Milliseconds: an event takes three to six seconds, on a busy machine ten to twenty, and one that fails a minute. */
const BOUND_OF_EVENT = 30_000;
const BOUND_OF_REST = 300_000;
/** Of the pods, and of the mesh. */
const SOAKS = 2;

function options() {
  const { values } = parseArgs({ options: { events: { type: "string" }, seed: { type: "string" } } });
  const whole = (name, fallback) => {
    const text = values[name] ?? String(fallback);
    if (!/^\d{1,9}$/.test(text)) throw new Failure(`--${name} is "${text}": give a whole number.`);
    return Number(text);
  };
  return { events: whole("events", EVENTS), seed: whole("seed", Math.floor(Math.random() * 1_000_000)) };
}

async function soak({ events, seed }) {
  console.log(`${events} events of seed ${seed}; again: npm run test:soak -- --events ${events} --seed ${seed}`);
  return await runVitest(["--project", "soak"], {
    env: { PODVPN_SOAK_EVENTS: String(events), PODVPN_SOAK_SEED: String(seed) },
    timeout: SOAKS * (events * BOUND_OF_EVENT + BOUND_OF_REST),
  });
}

await script(async () => {
  let total = { passed: 0, failed: 1 };
  try {
    const wanted = options();
    await setup({ need: ["root", "apt", "test", "npm", "build"] });
    total = await soak(wanted);
  } catch (error) {
    console.error(error instanceof Failure || error.code?.startsWith("ERR_PARSE_ARGS") ? error.message : error);
  }
  console.log(`${total.passed} passed, ${total.failed} failed`);
  return total.failed === 0 ? 0 : 1;
});
