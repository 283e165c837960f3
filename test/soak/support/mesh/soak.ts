import type { Capture } from "../../../../src/testbed/capture.ts";
import { Random } from "../../../fuzz/support/random.ts";
import { podvpn } from "../../../netns/support/cli.ts";
import { doctor } from "../../../netns/support/doctor.ts";
import { eventually } from "../../../netns/support/eventually.ts";
import { some } from "../deck.ts";
import type { SoakOptions } from "../options.ts";
import { failureText, line, tell } from "../tell.ts";
import { watchWire } from "../wire.ts";
import { act, type MeshScene } from "./act.ts";
import type { MeshEvent } from "./event.ts";
import { beginning } from "./generate.ts";
import { MeshNodes, PLAIN } from "./mesh.ts";
import { ANCHORS, NODES, type NodeIndex } from "./nodes.ts";
import { LEFT_BY_PODS, MeshPods } from "./pods.ts";
import { settle } from "./settle.ts";
import { after, agreeing, healing, isWell, type MeshState, nodesOf, situationOf, untouched } from "./state.ts";
import { Stream } from "./stream.ts";

/** A run: nodes with agents, pods, and a capture from the beginning to the end. */
export class MeshSoak implements AsyncDisposable {
  readonly #done: MeshEvent[] = [];
  #state: MeshState;

  private constructor(
    private readonly options: SoakOptions,
    private readonly scene: MeshScene,
    private readonly wire: Capture,
    private readonly resources: AsyncDisposableStack,
  ) {
    this.#state = beginning(options.seed);
  }

  /** The nodes that the seed begins with, joined, with a pod on each anchor. */
  static async begin(options: SoakOptions): Promise<MeshSoak> {
    await using undo = new AsyncDisposableStack();
    const state = beginning(options.seed);
    const nodes = undo.use(await MeshNodes.create(state.drivers));
    const wire = undo.use(await watchWire(nodes.bed.testbed, PLAIN));
    const scene = { nodes, pods: new MeshPods(nodes), saved: new Map<NodeIndex, string>() };
    const soak = new MeshSoak(options, scene, wire, undo.move());
    await soak.#retold(async () => {
      await nodes.join(...state.joined);
      await settle(scene, state); // whoever attaches a pod finds the agent's work done
      for (const anchor of ANCHORS) await scene.pods.add(anchor);
      await settle(scene, state);
    });
    return soak;
  }

  /** Does the events one after the other; after each all must be well. @throws Error with how to do it again. */
  async run(events: readonly MeshEvent[]): Promise<void> {
    for (const event of events) await this.#retold(() => this.#once(event));
  }

  /** Ends lasting faults, gives all a driver in common, asks the doctor, and takes all nodes out. @throws Error that tells what is bad, or left. */
  async end(): Promise<void> {
    await this.#retold(async () => {
      for (const event of healing(this.#state)) await this.#once(event);
      for (const event of agreeing(this.#state)) await this.#once(event);
      const { nodes, pods } = this.scene;
      const joined = [...this.#state.joined];
      for (const node of joined) await this.#isHealthyByDoctor(node);
      for (const anchor of ANCHORS) await pods.del(anchor);
      for (const node of joined) await nodes.leave(node, LEFT_BY_PODS);
      for (const node of NODES) await nodes.uninstall(node, LEFT_BY_PODS);
      await this.#nothingPlain();
      await this.wire.stop();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
  }

  async #once(event: MeshEvent): Promise<void> {
    const start = performance.now();
    this.#done.push(event);
    const random = new Random(this.options.seed + this.#done.length);
    const before = this.#state;
    this.#state = after(before, event);
    await using stream = await this.#stream(before, event, random);
    const chance = await act(this.scene, event, this.#state);
    await settle(this.scene, this.#state);
    const lost = (await stream?.lost()) ?? 0;
    if (lost > 0) throw new Error(`${lost} datagrams of ${stream?.pair.name} were lost, which it does not concern`);
    await this.#exitsAsItShould(random.pick([...this.#state.joined]));
    await this.#nothingPlain();
    const count = Math.max(this.options.events, this.#done.length);
    const watched = stream === undefined ? "" : `nothing lost of ${stream.pair.name}`;
    tell(line(this.#done.length, count, event, performance.now() - start, [chance, watched]));
  }

  /** Of two nodes that the event leaves alone; rather of one that it is done to. */
  async #stream(before: MeshState, event: MeshEvent, random: Random): Promise<Stream | undefined> {
    const pairs = untouched(before, event);
    const near = pairs.filter(({ nodes }) => nodes.some((node) => nodesOf(event).includes(node)));
    const pair = some(random, near.length > 0 ? near : pairs);
    return pair && (await Stream.start(this.scene.nodes, pair, random.pick([4, 6] as const)));
  }

  /** `podvpn status` of a node says by its exit status whether it is well. */
  async #exitsAsItShould(node: NodeIndex): Promise<void> {
    const isFine = isWell(this.#state, node);
    if (isFine === undefined) return;
    let last = "";
    await eventually("exit status", 20_000, async () => {
      const { code, stdout } = await podvpn(this.scene.nodes.at(node), "status", "--json");
      last = `podvpn status on n${node}: exit status ${code} although it is ${isFine ? "" : "not "}well: ${stdout}`;
      return code === (isFine ? 0 : 1);
    }).catch((cause: unknown) => {
      throw new Error(last, { cause });
    });
  }

  async #isHealthyByDoctor(index: NodeIndex): Promise<void> {
    const { bad } = await doctor(this.scene.nodes.at(index));
    if (bad.length > 0) throw new Error(`podvpn doctor on n${index}: ${JSON.stringify(bad, null, 1)}`);
  }

  async #nothingPlain(): Promise<void> {
    await this.wire.sync();
    if ((await this.wire.count()) === 0) return;
    throw new Error(`plain packets between nodes:\n${(await this.wire.packets(undefined, 20)).join("\n")}`);
  }

  async #retold(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (cause) {
      const what = cause instanceof Error ? cause.message : String(cause);
      const { nodes } = this.scene;
      const statuses = await Promise.all(
        [...this.#state.joined].map(async (node) => {
          return `n${node}: ${(await nodes.status(node).catch(() => undefined))?.problems.join("; ") ?? "no agent"}`;
        }),
      );
      const text = failureText(this.options, this.#done, situationOf(this.#state), what);
      throw new Error([text, ...statuses, "the agents said:", nodes.said()].join("\n"), { cause });
    }
  }
}
