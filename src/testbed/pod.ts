import type { Result } from "../cni/result.ts";
import { Runtime } from "../cni/runtime.ts";
import type { Node } from "./node.ts";
import { patience } from "./patience.ts";
import { ENVIRONMENT, type ExecResult, Place } from "./place.ts";

/** What a pod asks of its runtime. */
export interface AttachOptions {
  /** Directories with plugins, as the node sees them; {@link CNI_PATH} unless told. */
  readonly path?: readonly string[];
  readonly ifname?: string;
  readonly args?: Readonly<Record<string, string>>;
  readonly capabilityArgs?: Readonly<Record<string, unknown>>;
  /** Environment of the plugins, beside {@link ENVIRONMENT}. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Where a node finds plugins: what was installed, then Debian's containernetworking-plugins. */
export const CNI_PATH: readonly string[] = ["/opt/cni/bin", "/usr/lib/cni"];

/** A network namespace of a node, `/run/netns/NAME`, in which a pod's programs run. */
export class Pod extends Place implements AsyncDisposable {
  private constructor(
    readonly node: Node,
    name: string,
    private readonly removed: (name: string) => void,
  ) {
    super(name, node.pid, node.path(`/run/netns/${name}`));
  }

  /** As {@link Node.addPod}, which is what to call. */
  static async create(node: Node, name: string, removed: (name: string) => void): Promise<Pod> {
    await node.exec(["ip", "netns", "add", name]);
    const pod = new Pod(node, name, removed);
    await pod.exec(["ip", "link", "set", "lo", "up"]);
    return pod;
  }

  /** CNI_NETNS, as the node sees it. */
  get netnsPath(): string {
    return `/run/netns/${this.name}`;
  }

  /** CNI_CONTAINERID: unique in the testbed. */
  get containerID(): string {
    return `${this.node.name}-${this.name}`;
  }

  /** CNI ADD of a network configuration or list. @throws RuntimeError with the plugin's CNI error. */
  add(conf: Readonly<Record<string, unknown>>, options: AttachOptions = {}): Promise<Result> {
    return this.runtime(options).add(conf, this.#attachment(options));
  }

  /** CNI DEL. @throws RuntimeError with the plugin's CNI error. */
  del(conf: Readonly<Record<string, unknown>>, options: AttachOptions = {}): Promise<void> {
    return this.runtime(options).del(conf, this.#attachment(options));
  }

  /** CNI CHECK. @throws RuntimeError with the plugin's CNI error. */
  check(conf: Readonly<Record<string, unknown>>, options: AttachOptions = {}): Promise<void> {
    return this.runtime(options).check(conf, this.#attachment(options));
  }

  /** The node's container runtime, as far as CNI goes. */
  runtime(options: AttachOptions = {}): Runtime {
    return new Runtime({
      path: options.path ?? CNI_PATH,
      root: this.node.path(""),
      cacheDir: this.node.path("/var/lib/cni/cache"),
      env: { ...ENVIRONMENT, ...options.env },
      run: this.node.run,
    });
  }

  /** Sends `count` ICMP echo requests, one after the other; true when each was answered within a second. */
  async ping(address: string, count = 1): Promise<boolean> {
    // One by one: for the last of several, ping(8) waits no longer than two round trips of those before.
    for (let sent = 0; sent < count; sent += 1) if ((await this.tryPing(address)).code !== 0) return false;
    return true;
  }

  /** One echo request, with all that ping(8) said. */
  tryPing(address: string): Promise<ExecResult> {
    const seconds = String(Math.min(patience(1000), 3000) / 1000); // not more: many wait for what must not come
    return this.exec(["ping", "-n", "-c", "1", "-W", seconds, address], { check: false });
  }

  /** Removes the namespace's name, as a container runtime does after DEL; twice is fine. */
  async remove(): Promise<void> {
    await this.node.exec(["ip", "netns", "del", this.name], { check: false });
    this.removed(this.name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }

  #attachment(options: AttachOptions) {
    return {
      containerID: this.containerID,
      netns: this.netnsPath,
      ifname: options.ifname ?? "eth0",
      ...(options.args === undefined ? {} : { args: options.args }),
      ...(options.capabilityArgs === undefined ? {} : { capabilityArgs: options.capabilityArgs }),
    };
  }
}
