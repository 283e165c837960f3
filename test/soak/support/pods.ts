import { RuntimeError } from "../../../src/cni/runtime.ts";
import { Code } from "../../../src/fault.ts";
import type { AttachOptions, Pod } from "../../../src/testbed/pod.ts";
import { BUILT } from "../../netns/support/cluster.ts";
import { FaultyPlugin, killed } from "../../netns/support/faulty.ts";
import { clockOff } from "./clock.ts";
import type { Machines } from "./machines.ts";
import { type NodeIndex, type Slot, slotsOf } from "./slots.ts";
import { Talker, targetsOf } from "./talker.ts";

/** A pod that is in a slot now. */
export interface Live {
  readonly pod: Pod;
  /** By family, as the result of its ADD has them: virtual IPs, or those on the bridge. */
  readonly addresses: { readonly 4: string; readonly 6: string };
}

/** A pod's namespace, with programs that send, before ADD and after DEL. */
interface Sandbox {
  readonly pod: Pod;
  readonly talker: Talker;
}

type Configuration = Readonly<Record<string, unknown>>;

/** The pods of all slots, and the runtime that calls plugins for them: it has the part of a kubelet. */
export class Pods {
  readonly live = new Map<Slot, Live>();
  readonly #sandboxes = new Map<Slot, Sandbox>();
  readonly #made = new Map<Slot, number>();

  constructor(private readonly machines: Machines) {}

  /** A new pod. One that fails is followed by its DEL, as a runtime does. @throws RuntimeError. */
  async add(slot: Slot): Promise<void> {
    const { pod } = await this.#sandbox(slot);
    try {
      await this.#added(slot, pod, this.#options(slot));
    } catch (error) {
      await pod.del(this.#conf(slot), this.#options(slot));
      await this.#remove(slot);
      throw error;
    }
  }

  /** As {@link add}, by a plugin that dies after its `effect`th effect. @returns Whether it did. */
  async addKilled(slot: Slot, effect: number, next: "DEL" | "ADD"): Promise<boolean> {
    const { pod } = await this.#sandbox(slot);
    const dying = await this.#dying(slot, effect);
    const died = await killed(this.#added(slot, pod, dying));
    if (next === "DEL") await this.del(slot, "there");
    else if (died) await this.#added(slot, pod, this.#options(slot));
    return died;
  }

  /** The end of a slot's pod, if it has one. @throws RuntimeError. */
  async del(slot: Slot, netns: "there" | "gone" | "unset"): Promise<void> {
    const sandbox = this.#sandboxes.get(slot);
    if (sandbox === undefined) return;
    const { pod } = sandbox;
    if (netns === "gone") await this.#close(sandbox);
    if (netns === "unset") {
      await pod.runtime(this.#options(slot)).del(this.#conf(slot), { containerID: pod.containerID, ifname: "eth0" });
    } else {
      await pod.del(this.#conf(slot), this.#options(slot));
    }
    await this.#remove(slot);
  }

  /** As {@link del}, which dies after its `effect`th effect and is called again. @returns Whether it did. */
  async delKilled(slot: Slot, effect: number): Promise<boolean> {
    const dying = await this.#dying(slot, effect);
    const died = await killed(this.podIn(slot).del(this.#conf(slot), dying));
    await this.del(slot, "there");
    return died;
  }

  /** Deletes the pod and adds another in its place. @throws RuntimeError. */
  async replace(slot: Slot): Promise<void> {
    await this.del(slot, "there");
    await this.add(slot);
  }

  /** What CHECK says, or undefined when it is content. */
  async check(slot: Slot): Promise<string | undefined> {
    try {
      await this.podIn(slot).check(this.#conf(slot), this.#options(slot));
      return undefined;
    } catch (error) {
      // What is our own fault is never an answer.
      if (error instanceof RuntimeError && error.code !== Code.internal) return `${error.code} ${error.msg}`;
      throw error;
    }
  }

  /** The pod vanishes without DEL and the runtime forgets it; then it says to GC which it knows. */
  async collect(slot: Slot): Promise<void> {
    const sandbox = this.#sandboxes.get(slot);
    if (sandbox === undefined) throw new RangeError(`${slot.name} has no pod`);
    const { pod } = sandbox;
    await this.#close(sandbox);
    const conf = this.#conf(slot);
    await pod.node.exec(["rm", "-f", `/var/lib/cni/cache/results/${conf.name}-${pod.containerID}-eth0`]);
    this.#forget(slot);
    const valid = slotsOf(this.live.keys(), slot).map((one) => ({
      containerID: this.podIn(one).containerID,
      ifname: "eth0",
    }));
    await pod.runtime(this.#options(slot)).gc(conf, valid);
  }

  /** Ends all that runs in the pods of a node, and their namespaces. The runtime still knows them. */
  async close(node: NodeIndex): Promise<void> {
    for (const slot of slotsOf(this.#sandboxes.keys(), { node })) {
      const sandbox = this.#sandboxes.get(slot);
      if (sandbox !== undefined) await this.#close(sandbox);
    }
  }

  /** The pod of a slot that has one. */
  podIn(slot: Slot): Pod {
    const sandbox = this.#sandboxes.get(slot);
    if (sandbox === undefined) throw new RangeError(`${slot.name} has no pod`);
    return sandbox.pod;
  }

  async #added(slot: Slot, pod: Pod, options: AttachOptions): Promise<void> {
    const { ips } = await pod.add(this.#conf(slot), options);
    const of = (wanted: 4 | 6) => {
      const found = ips.find(({ address }) => address.includes(":") === (wanted === 6))?.address;
      if (found === undefined) throw new Error(`the result for ${slot.name} has no IPv${wanted} address`);
      return found.replace(/\/\d+$/, "");
    };
    this.live.set(slot, { pod, addresses: { 4: of(4), 6: of(6) } });
  }

  async #sandbox(slot: Slot): Promise<Sandbox> {
    const number = (this.#made.get(slot) ?? 0) + 1;
    this.#made.set(slot, number);
    const pod = await this.machines.node(slot.node).addPod(`${slot.name.slice(-2)}.${number}`);
    const talker = Talker.start(pod, targetsOf(slot.plugin, slot.node));
    const sandbox = { pod, talker };
    this.#sandboxes.set(slot, sandbox);
    return sandbox;
  }

  async #remove(slot: Slot): Promise<void> {
    const sandbox = this.#sandboxes.get(slot);
    if (sandbox !== undefined) await this.#close(sandbox);
    this.#forget(slot);
  }

  #forget(slot: Slot): void {
    this.#sandboxes.delete(slot);
    this.live.delete(slot);
  }

  async #close({ pod, talker }: Sandbox): Promise<void> {
    await talker[Symbol.asyncDispose]();
    await pod.remove();
  }

  #conf({ node, plugin }: Slot): Configuration {
    return this.machines.configuration(node, plugin);
  }

  #options({ node }: Slot): AttachOptions {
    return { ...BUILT, env: clockOff(this.machines.offset(node)) };
  }

  async #dying({ node, plugin }: Slot, effect: number): Promise<AttachOptions> {
    const { path, env } = (await FaultyPlugin.install(this.machines.node(node), plugin)).dying(effect);
    return { ...(path && { path }), env: { ...env, ...clockOff(this.machines.offset(node)) } };
  }
}
