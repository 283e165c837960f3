import type { KeyChange } from "../../../src/agent/driver.ts";
import { nextKeyFile } from "../../../src/agent/identity.ts";
import { nextStep, type RotationStep } from "../../../src/agent/wireguard/rotation.ts";
import { patience } from "../../../src/testbed/patience.ts";
import type { PublicKey } from "../../../src/wireguard/key.ts";
import type { DriverBed } from "./driver-bed.ts";
import type { DriverNode } from "./driver-node.ts";
import { eventually } from "./eventually.ts";
import { MESH_KEY } from "./wireguard-driver.ts";
import { writeKey } from "./wireguard-kind.ts";

const NEXT_KEY = nextKeyFile(MESH_KEY);

/** What the agents of a bed do about WireGuard's keys: each applies what the registry has, again and again. */
export class RotatingAgents implements AsyncDisposable {
  /** Every step but waiting, with who made it: "n1 begin". */
  readonly journal: string[] = [];
  readonly #bed: DriverBed;
  readonly #asked = new Set<string>();
  readonly #next = new Map<string, { readonly key: PublicKey; readonly since: number }>();
  /** Of each node, as of its last apply. */
  readonly #changes = new Map<string, KeyChange | undefined>();
  readonly #loops: Promise<void>[] = [];
  /** Killed after its next step of that kind, whatever it is. */
  #fatal: RotationStep["do"] | undefined;
  #stopped = false;

  constructor(bed: DriverBed) {
    this.#bed = bed;
    for (const node of bed.nodes.values()) this.#loops.push(this.#loop(node));
  }

  /** Asks a node to change its key. */
  ask(node: DriverNode): void {
    this.#asked.add(node.record.name);
  }

  /** The agent that makes a step of that kind next is killed right after it, before it publishes or applies anything. */
  killAfter(step: RotationStep["do"]): void {
    this.#fatal = step;
  }

  /** Waits until the node has a new key, and no node has a second device any more. */
  async changed(node: DriverNode): Promise<void> {
    const done = `${node.record.name} promote`;
    await eventually("the key has changed", 60_000, () => this.journal.includes(done));
    this.#changes.clear(); // what was found before that is of no interest
    await eventually("all are at rest", 60_000, () => {
      const changes = [...this.#bed.nodes.values()].map(({ record }) => this.#changes.get(record.name));
      return changes.every((change) => change?.atRest === true);
    });
    this.journal.splice(this.journal.indexOf(done), 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  async #loop(node: DriverNode): Promise<void> {
    while (!this.#stopped) {
      const { again = 200 } = await node.apply(this.#bed.wanted(node));
      const change = (await node.keyChange()) ?? undefined;
      this.#changes.set(node.record.name, change);
      await new Promise((resolve) => setTimeout(resolve, again));
      await this.#step(node, change);
    }
  }

  async #step(node: DriverNode, change: KeyChange | undefined): Promise<void> {
    const { name } = node.record;
    const next = this.#next.get(name);
    const step = nextStep({
      name,
      asked: this.#asked.has(name),
      hasNext: next !== undefined,
      waited: next === undefined ? 0 : (performance.now() - next.since) / patience(1),
      nodes: [...this.#bed.nodes.values()].map(({ record }) => record),
      changes: [change],
    });
    if (step.do === "wait" || step.do === "nothing") return;
    this.journal.push(`${name} ${step.do}`);
    const key = await this.#change(node, step, next?.key);
    if (this.#fatal === step.do) {
      this.#fatal = undefined;
      this.journal.push(`${name} killed`);
      await node.restart();
    }
    const now = this.#next.get(name);
    node.record = {
      ...node.record,
      wireguard: { publicKey: key, port: 51_820, ...(now && { nextPublicKey: now.key }) },
    };
  }

  /** Does it on disk. @returns The public key that counts then. */
  async #change(node: DriverNode, step: RotationStep, next: PublicKey | undefined): Promise<PublicKey> {
    const { name, wireguard } = node.record;
    if (wireguard === undefined) throw new TypeError(`${name} has no key`);
    if (step.do === "begin") {
      this.#next.set(name, { key: await writeKey(node.node, NEXT_KEY), since: performance.now() });
      return wireguard.publicKey;
    }
    await node.node.exec(step.do === "promote" ? ["mv", NEXT_KEY, MESH_KEY] : ["rm", NEXT_KEY]);
    this.#next.delete(name);
    if (step.do === "promote") this.#asked.delete(name);
    return step.do === "promote" && next !== undefined ? next : wireguard.publicKey;
  }
}
