import { Code, Fault } from "../../fault.ts";

/** Whoever chooses by hand takes small numbers. */
const FIRST = 0x1000_0000;
const COUNT = 0x1_0000_0000 - FIRST;

/**
 * An if_id that is not taken: the next free one from `start` on. Pure.
 * @param start From 0 to 1; random, so that an id is not used again soon after the pod that had it has gone.
 * @throws Fault 102 when a million in a row are taken: then it is not pods that have them.
 */
export function freeIfId(taken: ReadonlySet<number>, start: number): number {
  const from = Math.floor(start * COUNT) % COUNT;
  for (let step = 0; step < 1_000_000; step += 1) {
    const id = FIRST + ((from + step) % COUNT);
    if (!taken.has(id)) return id;
  }
  throw new Fault(Code.kernel, "no number for an XFRM interface is free", "see with `ip -d link` who has them");
}

/** The name that a pod's XFRM interface has on the node, until it is moved: no other has it. Pure. */
export function nameOnNode(ifId: number): string {
  return `pvx${ifId.toString(16)}`;
}
