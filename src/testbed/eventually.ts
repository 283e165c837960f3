import { patience } from "./patience.ts";

/** What was waited for did not come. */
export class NotInTime extends Error {
  override readonly name = "NotInTime";
}

/** Milliseconds between an answer and the next question. */
const PAUSE = 20;

/**
 * Waits until `condition` holds, asking again 20 ms after each answer: for what tells nobody when it changes.
 * @param what The condition in words, for the error. @param bound Milliseconds on a machine of usual speed.
 * @throws NotInTime when it does not hold within `bound`.
 */
export async function eventually(
  what: string,
  bound: number,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const until = performance.now() + patience(bound);
  while (!(await condition())) {
    if (performance.now() > until) throw new NotInTime(`not within ${patience(bound)} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}
