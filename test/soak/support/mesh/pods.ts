import { RuntimeError } from "../../../../src/cni/runtime.ts";
import type { Pod } from "../../../../src/testbed/pod.ts";
import { BUILT } from "../../../netns/support/cluster.ts";
import { Talker } from "../talker.ts";
import type { Addresses, MeshNodes } from "./mesh.ts";
import type { NodeIndex } from "./nodes.ts";

interface Live {
  readonly pod: Pod;
  readonly talker: Talker;
  readonly addresses: Addresses;
}

/** What a pod leaves on its node: the bridge, its addresses and routes, and the books of host-local. */
export const LEFT_BY_PODS = /\bcni0\b|^\+ files: \/(?:var\/lib\/cni|etc\/cni|run\/netns)\//;

/** One pod of the plugin `wireguard` on each anchor, behind the agent's device. */
export class MeshPods {
  readonly #live = new Map<NodeIndex, Live>();
  readonly #made = new Map<NodeIndex, number>();

  constructor(private readonly nodes: MeshNodes) {}

  /** @throws RuntimeError. */
  async add(index: NodeIndex): Promise<void> {
    const number = (this.#made.get(index) ?? 0) + 1;
    this.#made.set(index, number);
    const pod = await this.nodes.at(index).addPod(`p${number}`);
    const targets = [...this.nodes.addresses].flatMap(([other, addresses]) => {
      return other === index ? [] : Object.values(addresses);
    });
    const talker = Talker.start(pod, [targets[0] ?? "10.101.200.200", ...targets.slice(1)]); // before it is attached
    const { ips } = await pod.add(this.#conf(index), BUILT);
    const of = (family: 4 | 6) => {
      const found = ips.find(({ address }) => address.includes(":") === (family === 6));
      return found?.address.replace(/\/\d+$/, "") ?? "";
    };
    this.#live.set(index, { pod, talker, addresses: { 4: of(4), 6: of(6) } });
  }

  /** @throws RuntimeError. */
  async del(index: NodeIndex): Promise<void> {
    const live = this.#live.get(index);
    if (live === undefined) return;
    await live.pod.del(this.#conf(index), BUILT);
    await live.talker[Symbol.asyncDispose]();
    await live.pod.remove();
    this.#live.delete(index);
  }

  /** What CHECK says, or undefined when it is content. */
  async check(index: NodeIndex): Promise<string | undefined> {
    try {
      await this.#live.get(index)?.pod.check(this.#conf(index), BUILT);
      return undefined;
    } catch (error) {
      if (error instanceof RuntimeError) return `${error.code} ${error.msg}`;
      throw error;
    }
  }

  /** Of the pod of a node. */
  addresses(index: NodeIndex): Addresses | undefined {
    return this.#live.get(index)?.addresses;
  }

  /** Whether the pod of a node gets an answer of an address. */
  async reaches(index: NodeIndex, address: string): Promise<boolean> {
    return (await this.#live.get(index)?.pod.ping(address)) ?? false;
  }

  #conf(index: NodeIndex) {
    const ranges = (this.nodes.prefixes.get(index) ?? []).map((subnet) => [{ subnet }]);
    return {
      cniVersion: "1.1.0",
      name: "mesh",
      type: "wireguard",
      wireguard: { agent: true },
      bridge: "cni0",
      isDefaultGateway: true,
      ipMasq: true,
      ipam: { type: "host-local", ranges },
    };
  }
}
