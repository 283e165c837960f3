import type { Node } from "../../../src/testbed/node.ts";
import { conf, HUB_ADDRESS, HUB_ADDRESS_6, VIRTUAL_SUBNET, VIRTUAL_SUBNET_6 } from "../../netns/support/cluster.ts";
import { Mesh } from "../../netns/support/mesh.ts";
import { HubMachine } from "./hub-machine.ts";
import type { NodeIndex, Plugin } from "./slots.ts";

/** Names of the networks, and their bridges. */
export const NETWORKS = {
  strongswan: { name: "ipsec", bridge: "cni0" },
  wireguard: { name: "mesh", bridge: "cni1" },
} as const;

/** Three nodes and a hub on one underlay. */
export class Machines implements AsyncDisposable {
  readonly #offsets = new Map<NodeIndex, number>();

  private constructor(
    readonly mesh: Mesh,
    readonly hub: HubMachine,
    private readonly resources: AsyncDisposableStack,
  ) {}

  static async create(): Promise<Machines> {
    await using undo = new AsyncDisposableStack();
    const mesh = undo.use(await Mesh.create(3));
    const node = await mesh.testbed.node("hub", { addresses: [`${HUB_ADDRESS}/24`, `${HUB_ADDRESS_6}/64`] });
    return new Machines(mesh, await HubMachine.create(node), undo.move());
  }

  node(index: NodeIndex): Node {
    return this.mesh.at(index).node;
  }

  /** Seconds by which the clock of a node's plugins is off. */
  offset(index: NodeIndex): number {
    return this.#offsets.get(index) ?? 0;
  }

  setOffset(index: NodeIndex, offset: number): void {
    this.#offsets.set(index, offset);
  }

  /** What the runtime of a node has in its `net.d`. */
  configuration(index: NodeIndex, plugin: Plugin): Readonly<Record<string, unknown>> {
    const shared = { cniVersion: "1.1.0", ...NETWORKS[plugin] };
    if (plugin === "wireguard") return this.mesh.conf(index, { ...shared, wireguard: { removeWithLastPod: true } });
    const ranges = [[{ subnet: `172.17.${index}.0/24` }], [{ subnet: `fd00:172:17:${index}::/64` }]];
    return conf({
      ...shared,
      vpn: {
        virtualSubnet: [VIRTUAL_SUBNET, VIRTUAL_SUBNET_6],
        hostSubnet: ["10.9.0.0/24", "fd00:9::/64"],
        dpd: "1s",
        timeout: "5s",
      },
      ipam: { type: "host-local", ranges },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
  }
}
