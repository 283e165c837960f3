import { expect } from "vitest";
import type { Node } from "../../../src/testbed/node.ts";
import { SHARED_DIRECTORY } from "../../../src/testbed/shared.ts";
import { diffSnapshots, type Snapshot } from "../../../src/testbed/snapshot.ts";
import { Testbed } from "../../../src/testbed/testbed.ts";

/**
 * A machine of a testbed on which the demo is run: all that it could leave behind is then in that machine's snapshot, and
 * demos that run on the real one at the same time are not seen.
 */
export class DemoMachine implements AsyncDisposable {
  private constructor(
    private readonly testbed: Testbed,
    readonly node: Node,
    private readonly before: Snapshot,
    private readonly sharedBefore: string,
  ) {}

  static async create(): Promise<DemoMachine> {
    await using undo = new AsyncDisposableStack();
    const testbed = undo.use(await Testbed.create());
    const node = await testbed.node("machine", { addresses: ["10.9.0.1/24"] });
    const made = new DemoMachine(testbed, node, await node.snapshot(), await shared(node));
    undo.move();
    return made;
  }

  /** The processes of a namespace end before its process 1 does, but bash reaps what unshare(1) leaves a moment later. */
  async nothingLeft(): Promise<void> {
    await expect.poll(async () => diffSnapshots(this.before, await this.node.snapshot())).toEqual([]);
    expect(await shared(this.node)).toBe(this.sharedBefore);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.testbed[Symbol.asyncDispose]();
  }
}

/** What a machine has where the demo's nodes have the directory that they share. */
async function shared(node: Node): Promise<string> {
  return (await node.exec(["ls", "-A", SHARED_DIRECTORY])).stdout;
}

/** Lines that a terminal of 80 columns would break. */
export function wideLines(text: string): string[] {
  return text.split("\n").filter((line) => line.length > 80);
}

/** What the mesh's demo told of each driver, in their order. */
export function storiesOf(stdout: string): readonly [string, string] {
  const [wireguard = "", ipsec = ""] = stdout.split(/^(?=mesh, )/m);
  expect(wireguard).toMatch(/^mesh, WireGuard: /);
  expect(ipsec).toMatch(/^mesh, IPsec: /);
  return [wireguard, ipsec];
}

/** What a step of a story expected and saw. */
export function step(story: string, number: number): string {
  const found = story.split(/^(?=\d+\. )/m).find((part) => part.startsWith(`${number}. `));
  return found ?? `there is no step ${number}`;
}
