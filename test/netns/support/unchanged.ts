import { expect } from "vitest";
import type { Node } from "../../../src/testbed/node.ts";
import { diffSnapshots, type Snapshot } from "../../../src/testbed/snapshot.ts";
import { eventually } from "./eventually.ts";

/**
 * A node is as it was. Waits for it up to three seconds: the kernel removes the links of a namespace some time after its
 * name, and process 1 reaps what has ended.
 * @param ignored Differences that do not count, as `diffSnapshots` shows them.
 */
export async function expectUnchanged(node: Node, before: Snapshot, ignored?: RegExp): Promise<void> {
  let difference: string[] = [];
  const same = async () => {
    difference = diffSnapshots(before, await node.snapshot()).filter((line) => ignored?.test(line) !== true);
    return difference.length === 0;
  };
  await eventually("the node is as before", 3000, same).catch(() => expect(difference).toEqual([]));
}
