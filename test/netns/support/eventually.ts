import { patience } from "../../../src/testbed/patience.ts";

/**
 * Waits until `condition` holds, asking again 20 ms after each answer: for what tells nobody when it changes.
 * @param what The condition in words, for the error. @param bound Milliseconds on a machine of usual speed.
 * @throws Error when it does not hold within `bound`.
 */
export async function eventually(
  what: string,
  bound: number,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const until = performance.now() + patience(bound);
  while (!(await condition())) {
    if (performance.now() > until) throw new Error(`not within ${patience(bound)} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
