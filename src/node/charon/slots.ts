import { Code, Fault } from "../../fault.ts";
import { type Lock, lockDirectory } from "../../os/lock.ts";
import { NODE_CHARON_DIRECTORY } from "./directory.ts";

/**
 * How many `initiate` may be on their way at once, of all processes of the node: each holds a thread of charon until it
 * is answered, and at 16 of 16 charon is dead for half a minute. More than four are no faster.
 */
const SLOTS = 4;

/** Milliseconds to wait for one: a silent hub holds each for the whole `vpn.timeout`. */
const SLOT_WAIT = 30_000;

/** Does `work` while it holds one of the slots. @throws Fault 11 when none becomes free in time, whatever `work` throws. */
export async function withSlot<T>(work: () => Promise<T>): Promise<T> {
  using _slot = await slot();
  return await work();
}

/** The first that is free; else the next of a random one. */
async function slot(): Promise<Lock> {
  for (let number = 0; number < SLOTS; number += 1) {
    const free = await take(number, 0);
    if (free !== undefined) return free;
  }
  const free = await take(Math.floor(Math.random() * SLOTS), SLOT_WAIT);
  if (free !== undefined) return free;
  throw new Fault(
    Code.tryAgainLater,
    `the node's charon has been asking hubs for ${SLOTS} other pods for ${SLOT_WAIT / 1000} s`,
    "see that the hubs answer, and try again",
  );
}

async function take(number: number, wait: number): Promise<Lock | undefined> {
  try {
    return await lockDirectory(`${NODE_CHARON_DIRECTORY}/slot-${number}`, { create: true, wait });
  } catch (error) {
    if (error instanceof Fault && error.code === Code.tryAgainLater) return undefined;
    throw error;
  }
}
