import { Code, Fault } from "../fault.ts";
import { keptNodes } from "../testbed/kept.ts";
import { Testbed } from "../testbed/testbed.ts";
import { tellKept } from "./kept.ts";
import { labelOf, type Show, type TellOptions, type Told } from "./show.ts";
import type { Say } from "./story.ts";

export interface DemoOptions extends TellOptions {
  /** Ends the demo at any moment; all is taken down, then its reason is thrown. */
  readonly signal: AbortSignal;
}

/**
 * The demo of these shows, one after the other. When it returns or throws, everything is gone, unless all was shown and
 * is kept.
 * @returns What was not as it should be; empty when podvpn did what it promises.
 * @throws Fault when a part of the machine is missing, and the signal's reason.
 */
export async function demo(say: Say, shows: readonly Show[], options: DemoOptions): Promise<string[]> {
  if (options.keep) requireNoneUp(shows);
  await using all = new AsyncDisposableStack();
  const shown: { readonly show: Show; readonly testbed: Testbed; readonly told: Told }[] = [];
  const wrong: string[] = [];
  for (const show of shows) {
    if (shown.length > 0) say("");
    const start = performance.now();
    const testbed = all.use(await Testbed.create(labelOf(show), { isShared: show.isShared }));
    // Raced, not asked in between: the machines go down at once, and what still runs on them fails with them.
    const told = await Promise.race([show.tell(say, testbed, options), aborted(options.signal)]);
    wrong.push(...told.wrong.map((complaint) => `${show.id}: ${complaint}`));
    shown.push({ show, testbed, told });
    if (!options.keep) await testbed[Symbol.asyncDispose]();
    const time = ((performance.now() - start) / 1000).toFixed(1);
    say(`\n${options.keep ? "" : "Taken down, nothing is left. "}${time} s in all.`);
  }
  if (options.keep) {
    for (const { testbed } of shown) await testbed.keep();
    for (const { show, told } of shown) tellKept(say, show, told.sights);
    say("\nTake all of it down:\n  podvpn demo --down");
  }
  return wrong;
}

/** Those that were kept would not be told apart from those that are to be kept. @throws Fault 11. */
function requireNoneUp(shows: readonly Show[]): void {
  const up = shows.find((show) => keptNodes(labelOf(show)).length > 0);
  if (up === undefined) return;
  const what = `a demo of ${up.id} is up already`;
  throw new Fault(Code.tryAgainLater, what, "take it down with `podvpn demo --down`");
}

function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  if (signal.aborted) reject(signal.reason);
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  return promise;
}
