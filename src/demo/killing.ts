import { RuntimeError } from "../cni/runtime.ts";
import { Code } from "../fault.ts";
import { wrapped } from "../status/text.ts";
import type { Capture } from "../testbed/capture.ts";
import { table } from "./format.ts";
import type { DemoPod } from "./lab.ts";
import type { Killing, Mode } from "./mode.ts";
import { countAnswers } from "./ping.ts";
import type { Say } from "./story.ts";

const PINGS = 3;

/** Kills what the mode is about, and shows what becomes of the pods' traffic. @returns What is not as it should be. */
export async function tellKilling(say: Say, { wire }: Mode, killing: Killing, capture: Capture): Promise<string[]> {
  const plainBefore = await capture.count(wire.plain.filter);
  const before = await pingBothWays(killing);
  await killing.kill();
  const after = await pingBothWays(killing);
  say(`\n${killing.event}. Pings answered, before and after that:`);
  say(table(before.map(({ name, answered }, index) => [name, outOf(answered), outOf(after[index]?.answered)])));
  const wrong = [
    ...before.filter(({ answered }) => answered < PINGS).map(({ name }) => `${name} had no traffic before the kill`),
    ...after.filter(({ answered }) => answered > 0).map(({ name }) => `${name} had traffic after the kill`),
    ...(await tellCheck(say, killing)),
  ];
  if (killing.mended) {
    const mended = await pingBothWays(killing);
    say("Pings answered after that CHECK:");
    say(table(mended.map(({ name, answered }) => [name, outOf(answered)])));
    wrong.push(...mended.filter(({ answered }) => answered < PINGS).map(({ name }) => `${name} has no traffic again`));
  }
  const plain = (await capture.count(wire.plain.filter)) - plainBefore;
  say(`Plain packets on the wire all the while: ${plain}`);
  if (plain > 0) wrong.push(`the wire carried ${plain} plain packets around the kill`);
  return wrong;
}

interface Pinged {
  /** Of the two pods. */
  readonly name: string;
  readonly answered: number;
}

/**
 * First from the pods that were cut off, then to them: a WireGuard peer that was not killed learns from the other's
 * handshake that the old session is over, and would else find out only after 15 seconds (whitepaper, section 6.5).
 */
async function pingBothWays({ cut }: Killing): Promise<Pinged[]> {
  const there = await Promise.all(cut.map(([pod, other]) => pinged(pod, other)));
  return [...there, ...(await Promise.all(cut.map(([pod, other]) => pinged(other, pod))))];
}

async function pinged(from: DemoPod, to: DemoPod): Promise<Pinged> {
  return { name: `${from.pod.name} to ${to.pod.name}`, answered: await countAnswers(from, to, PINGS) };
}

function outOf(answered: number | undefined): string {
  return `${answered} of ${PINGS}`;
}

/** What CHECK of the first pod that was cut off tells the runtime. @returns What is not as it should be. */
async function tellCheck(say: Say, { cut, named }: Killing): Promise<string[]> {
  const [pod] = cut[0] ?? [];
  if (pod === undefined) return [];
  const error = await pod.pod.check(pod.conf).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error === undefined) return [`CHECK of ${pod.pod.name} found nothing`];
  if (!(error instanceof RuntimeError)) throw error;
  say(`CHECK of ${pod.pod.name} tells the container runtime (code ${error.code}):`);
  say(wrapped(`    ${error.msg}`, 4));
  return error.code === Code.checkFailed && named.test(error.msg) ? [] : [`CHECK of ${pod.pod.name}: ${error.msg}`];
}
