import { cnitool } from "../../../scripts/reference.mjs";
import { parseResult, type Result } from "../../../src/cni/result.ts";
import type { Node } from "../../../src/testbed/node.ts";
import type { ExecResult } from "../../../src/testbed/place.ts";
import type { Pod } from "../../../src/testbed/pod.ts";
import type { NetworkList } from "./networks.ts";

const CNITOOL = await cnitool();

/** The reference runtime, libcni's own, on one node with one network. */
export class Cnitool {
  private constructor(
    private readonly node: Node,
    private readonly path: readonly string[],
    private readonly list: NetworkList,
  ) {}

  /** @param path CNI_PATH. @param list What is configured in /etc/cni/net.d from now on, and nothing else. */
  static async configure(node: Node, path: readonly string[], list: NetworkList): Promise<Cnitool> {
    await node.writeFile("/etc/cni/net.d/10-test.conflist", JSON.stringify(list), 0o600);
    return new Cnitool(node, path, list);
  }

  /** @throws Error with what cnitool and the plugin said. */
  async add(pod: Pod): Promise<Result> {
    const { stdout } = await this.#call("add", pod.netnsPath);
    return parseResult(JSON.parse(stdout), "result");
  }

  /** CHECK, DEL or GC (which is of the whole network: no attachment is valid). @throws Error as {@link add}. */
  async run(verb: "check" | "del" | "gc", pod: Pod): Promise<void> {
    await this.#call(verb, pod.netnsPath);
  }

  /** @returns How it ended: STATUS has its answer in that. */
  status(path = this.path): Promise<ExecResult> {
    return this.#exec("status", "/run/netns/none", path);
  }

  async #call(verb: string, netns: string): Promise<ExecResult> {
    const result = await this.#exec(verb, netns, this.path);
    if (result.code !== 0) throw new Error(`cnitool ${verb}: ${result.stdout}${result.stderr}`);
    return result;
  }

  #exec(verb: string, netns: string, path: readonly string[]): Promise<ExecResult> {
    return this.node.exec([CNITOOL, verb, this.list.name, netns], { env: { CNI_PATH: path.join(":") }, check: false });
  }
}
