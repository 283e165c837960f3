import { Sender } from "../../../../src/testbed/traffic.ts";
import type { MeshNodes } from "./mesh.ts";
import type { Pair } from "./nodes.ts";

/** Datagrams a second. */
const RATE = 50;

/** Datagrams between two nodes, there and back, of which none may be lost. */
export class Stream implements AsyncDisposable {
  private constructor(
    private readonly nodes: MeshNodes,
    readonly pair: Pair,
    private readonly sender: Sender,
    /** By full queues, before it began. */
    private readonly dropped: number,
  ) {}

  /** Returns when it flows. */
  static async start(nodes: MeshNodes, pair: Pair, family: 4 | 6): Promise<Stream> {
    const [from, to] = pair.nodes;
    const target = nodes.addresses.get(to)?.[family];
    if (target === undefined) throw new RangeError(`n${to} has no address`);
    const dropped = await nodes.bed.dropped();
    await using undo = new AsyncDisposableStack();
    const sender = undo.use(await Sender.start(nodes.at(from), target, RATE));
    await sender.answers(RATE / 5, 10_000);
    undo.move();
    return new Stream(nodes, pair, sender, dropped);
  }

  /** How many it has lost that no full queue has dropped, once all that was on the way has come. @throws Error for a refused one. */
  async lost(): Promise<number> {
    const { lost, refused } = await this.sender.answers(1.5 * RATE, 20_000);
    const errors = Object.entries(refused).map(([errno, count]) => `${count} times ${errno}`);
    if (errors.length > 0) throw new Error(`${this.pair.name}: sending failed ${errors.join(", ")}`);
    return Math.max(0, lost - Math.max(0, (await this.nodes.bed.dropped()) - this.dropped));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sender[Symbol.asyncDispose]();
  }
}
