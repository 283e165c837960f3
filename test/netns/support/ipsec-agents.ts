import type { KeyChange } from "../../../src/agent/driver.ts";
import { nextKeyFile } from "../../../src/agent/identity.ts";
import { nextStep } from "../../../src/agent/wireguard/rotation.ts";
import type { DriverBed } from "./driver-bed.ts";
import type { DriverNode } from "./driver-node.ts";
import { eventually } from "./eventually.ts";
import { MESH_KEY } from "./ipsec-driver.ts";
import { writeIpsecKey } from "./ipsec-kind.ts";

const NEXT_KEY = nextKeyFile(MESH_KEY);

/** Milliseconds between two looks of an agent that is at rest. */
const LOOK = 100;

/** What the agents of a bed do: each applies what the registry has, again and again, and changes its key when asked. */
export class IpsecAgents implements AsyncDisposable {
  readonly #bed: DriverBed;
  readonly #asked = new Set<string>();
  readonly #changes = new Map<string, KeyChange>();
  readonly #loops: Promise<void>[];
  #isStopped = false;

  constructor(bed: DriverBed) {
    this.#bed = bed;
    this.#loops = [...bed.nodes.values()].map((node) => this.#loop(node));
  }

  /** Changes the key of a node, and waits until all nodes are at rest again. @returns Its new public key. */
  async rotate(node: DriverNode): Promise<string> {
    const before = node.record.ipsec?.publicKey;
    this.#asked.add(node.record.name);
    await eventually(`${node.record.name} has another key`, 30_000, () => node.record.ipsec?.publicKey !== before);
    this.#changes.clear(); // what was found before that is of no interest
    await this.atRest();
    return node.record.ipsec?.publicKey ?? "";
  }

  /** Waits until nothing is left to be done on any node. */
  async atRest(): Promise<void> {
    await eventually("all nodes are at rest", 60_000, () => {
      const changes = [...this.#bed.nodes.keys()].map((name) => this.#changes.get(name));
      return changes.every((change) => change?.atRest === true && change.peers.every(({ hasMoved }) => hasMoved));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#loops);
  }

  async #loop(node: DriverNode): Promise<void> {
    while (!this.#isStopped) {
      const { again = LOOK } = await node.apply(this.#bed.wanted(node));
      const change = await node.keyChange();
      if (change !== null) this.#changes.set(node.record.name, change);
      await this.#step(node, change);
      await new Promise((resolve) => setTimeout(resolve, again));
    }
  }

  async #step(node: DriverNode, change: KeyChange | null): Promise<void> {
    const { name, ipsec } = node.record;
    if (ipsec === undefined) throw new TypeError(`${name} has no key`);
    const { identity, publicKey = "", nextPublicKey } = ipsec;
    const { do: step } = nextStep({
      name,
      asked: this.#asked.has(name),
      hasNext: nextPublicKey !== undefined,
      waited: 0,
      nodes: [...this.#bed.nodes.values()].map(({ record }) => record),
      changes: [change ?? undefined],
    });
    if (step === "begin") {
      const next = await writeIpsecKey(node.node, NEXT_KEY);
      node.record = { ...node.record, ipsec: { identity, publicKey, nextPublicKey: next } };
    } else if (step === "promote" && nextPublicKey !== undefined) {
      this.#asked.delete(name);
      await node.node.exec(["mv", NEXT_KEY, MESH_KEY]);
      node.record = { ...node.record, ipsec: { identity, publicKey: nextPublicKey } };
    }
  }
}
