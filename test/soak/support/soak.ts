import type { Capture } from "../../../src/testbed/capture.ts";
import { diffSnapshots, type Snapshot } from "../../../src/testbed/snapshot.ts";
import { Random } from "../../fuzz/support/random.ts";
import { podvpn } from "../../netns/support/cli.ts";
import { eventually } from "../../netns/support/eventually.ts";
import { act, type Scene } from "./act.ts";
import type { Event } from "./event.ts";
import { violations } from "./invariants.ts";
import { Machines } from "./machines.ts";
import type { SoakOptions } from "./options.ts";
import { Pods } from "./pods.ts";
import { settle } from "./settle.ts";
import { NODES, PLUGINS, SLOTS, slotsOf } from "./slots.ts";
import { after, CALM, healing, type State } from "./state.ts";
import { failureText, line, situationOf, tell } from "./tell.ts";
import { watchWire } from "./wire.ts";

/** A run: machines, pods, what was on the nodes before, and a capture from the beginning to the end. */
export class Soak implements AsyncDisposable {
  readonly #done: Event[] = [];
  #state: State = CALM;

  private constructor(
    private readonly options: SoakOptions,
    private readonly scene: Scene,
    private readonly wire: Capture,
    private readonly before: readonly Snapshot[],
    private readonly resources: AsyncDisposableStack,
  ) {}

  /** All machines with a pod in each slot, in which programs send without a pause. */
  static async begin(options: SoakOptions): Promise<Soak> {
    await using undo = new AsyncDisposableStack();
    const machines = undo.use(await Machines.create());
    const wire = undo.use(await watchWire(machines.mesh.testbed));
    await machines.hub.start();
    const pods = new Pods(machines);
    // What the first pods of a node leave stays: bridges, empty directories.
    await inParallel(async (node) => {
      for (const plugin of PLUGINS) {
        const [first] = slotsOf(SLOTS, { node, plugin });
        if (first === undefined) continue;
        await pods.add(first);
        await pods.del(first, "there");
      }
    });
    const before = await snapshots(machines);
    const scene = { machines, pods, lost: new Set<string>() };
    const soak = new Soak(options, scene, wire, before, undo.move());
    await inParallel(async (node) => {
      for (const slot of slotsOf(SLOTS, { node })) await pods.add(slot);
    });
    for (const slot of SLOTS) soak.#state = after(soak.#state, { kind: "add", slot }).state;
    return soak;
  }

  /** Does the events one after the other; after each all must be well. @throws Error with how to do it again. */
  async run(events: readonly Event[]): Promise<void> {
    for (const event of events) await this.#retold(() => this.#once(event));
  }

  /** Ends lasting faults, deletes all pods. @throws Error that tells what is left. */
  async end(): Promise<void> {
    await this.#retold(async () => {
      for (const event of healing(this.#state)) await this.#once(event);
      for (const slot of SLOTS) await this.scene.pods.del(slot, "there");
      let left: string[] = [];
      await eventually("nothing is left", 10_000, async () => {
        left = this.#left(await snapshots(this.scene.machines));
        return left.length === 0;
      }).catch((cause: unknown) => {
        throw new Error(`left after DEL of all pods:\n${left.join("\n")}`, { cause });
      });
      await this.#nothingPlain();
      await this.wire.stop();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
  }

  async #once(event: Event): Promise<void> {
    const start = performance.now();
    this.#done.push(event);
    const step = after(this.#state, event);
    this.#state = step.state;
    const chance = await act(this.scene, event, step.state);
    const notes = await settle(this.scene, step, new Random(this.options.seed + this.#done.length));
    await this.#nothingPlain();
    const wrong = await violations(this.scene);
    if (wrong.length > 0) throw new Error(wrong.join("\n"));
    const count = Math.max(this.options.events, this.#done.length);
    tell(line(this.#done.length, count, event, performance.now() - start, [chance, ...notes]));
  }

  async #nothingPlain(): Promise<void> {
    await this.wire.sync();
    if ((await this.wire.count()) === 0) return;
    throw new Error(`plain packets between nodes:\n${(await this.wire.packets(undefined, 20)).join("\n")}`);
  }

  /** A file that an event has removed need not be there again. */
  #left(now: readonly Snapshot[]): string[] {
    const { lost, machines } = this.scene;
    return this.before.flatMap((before, index) => {
      const name = NODES[index] === undefined ? machines.hub.node.name : machines.node(NODES[index]).name;
      return diffSnapshots(before, now[index] ?? new Map())
        .filter((each) => !(each.startsWith("- files: ") && lost.has(each.slice("- files: ".length))))
        .map((each) => `${name}: ${each}`);
    });
  }

  async #retold(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (cause) {
      const what = cause instanceof Error ? cause.message : String(cause);
      const { machines } = this.scene;
      const statuses = await Promise.all(NODES.map((node) => podvpn(machines.node(node), "status")));
      const text = failureText(this.options, this.#done, situationOf(this.#state), what);
      const surroundings = [...statuses.map(({ stdout }) => stdout), `the hub said:\n${machines.hub.said()}`];
      throw new Error([text, ...surroundings].join("\n"), { cause });
    }
  }
}

/** Of the nodes, then of the hub. */
function snapshots(machines: Machines): Promise<Snapshot[]> {
  return Promise.all([...NODES.map((node) => machines.node(node)), machines.hub.node].map((node) => node.snapshot()));
}

function inParallel(action: (node: (typeof NODES)[number]) => Promise<void>): Promise<unknown> {
  return Promise.all(NODES.map(action));
}
