import { Code, Fault } from "../fault.ts";
import { keptNodes } from "../testbed/kept.ts";
import { Testbed } from "../testbed/testbed.ts";
import { tellKept } from "./kept.ts";
import { tellKilling } from "./killing.ts";
import { type DemoPod, Lab } from "./lab.ts";
import { removePods, snapshotNodes } from "./left.ts";
import type { Mode } from "./mode.ts";
import { labelOf } from "./modes.ts";
import { pingAll, type Say, tellMachines, tellPods, tellTitle, tellWire } from "./story.ts";

export interface DemoOptions {
  /** Our single-file executable, which the nodes get as their plugins. */
  readonly executable: string;
  /** Leaves the machines up, with all their pods. */
  readonly keep: boolean;
  /** Ends the demo at any moment; all is taken down, then its reason is thrown. */
  readonly signal: AbortSignal;
}

/**
 * The demo of these modes, one after the other. When it returns or throws, everything is gone, unless all was shown and
 * is kept.
 * @returns What was not as it should be; empty when podvpn did what it promises.
 * @throws Fault when a part of the machine is missing, and the signal's reason.
 */
export async function demo(say: Say, modes: readonly Mode[], options: DemoOptions): Promise<string[]> {
  if (options.keep) requireNoneUp(modes);
  await using all = new AsyncDisposableStack();
  const shown: Shown[] = [];
  const wrong: string[] = [];
  for (const mode of modes) {
    if (shown.length > 0) say("");
    const start = performance.now();
    const testbed = all.use(await Testbed.create(labelOf(mode)));
    // Raced, not asked in between: the machines go down at once, and what still runs on them fails with them.
    const end = await Promise.race([tell(say, mode, testbed, options), aborted(options.signal)]);
    shown.push({ mode, testbed, pods: end.pods });
    wrong.push(...end.wrong.map((complaint) => `${mode.plugin}: ${complaint}`));
    if (!options.keep) await testbed[Symbol.asyncDispose]();
    const time = ((performance.now() - start) / 1000).toFixed(1);
    say(`\n${options.keep ? "" : "Taken down, nothing is left. "}${time} s in all.`);
  }
  if (options.keep) {
    for (const { testbed } of shown) await testbed.keep();
    for (const { mode, pods } of shown) tellKept(say, mode, pods);
    say("\nTake all of it down:\n  podvpn demo --down");
  }
  return wrong;
}

/** Those that were kept would not be told apart from those that are to be kept. @throws Fault 11. */
function requireNoneUp(modes: readonly Mode[]): void {
  const up = modes.find((mode) => keptNodes(labelOf(mode)).length > 0);
  if (up === undefined) return;
  const what = `a demo of ${up.plugin} is up already`;
  throw new Fault(Code.tryAgainLater, what, "take it down with `podvpn demo --down`");
}

interface Shown {
  readonly mode: Mode;
  readonly testbed: Testbed;
  readonly pods: readonly DemoPod[];
}

async function tell(say: Say, mode: Mode, testbed: Testbed, { executable, keep }: DemoOptions) {
  tellTitle(say, mode);
  await using capture = await testbed.capture();
  const lab = await Lab.build(testbed, executable);
  const prepared = await mode.prepare(lab);
  tellMachines(say, prepared);
  const before = await snapshotNodes(lab.nodes);
  const pods = await lab.addPods(prepared);
  tellPods(say, mode, pods);
  const wrong = [...(await pingAll(say, mode, pods)), ...(await tellWire(say, mode, capture))];
  if (!keep) {
    wrong.push(...(await tellKilling(say, mode, await mode.killing(pods), capture)));
    wrong.push(...(await removePods(say, pods, before)));
    await capture.stop();
  }
  return { wrong, pods };
}

function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  if (signal.aborted) reject(signal.reason);
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  return promise;
}
