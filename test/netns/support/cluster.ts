import { fileURLToPath } from "node:url";
import type { Node } from "../../../src/testbed/node.ts";
import type { AttachOptions, Pod } from "../../../src/testbed/pod.ts";
import { StockHub, type StockHubOptions } from "../../../src/testbed/stock-hub.ts";
import { Testbed } from "../../../src/testbed/testbed.ts";

/** Where the built executable lies under its names; each node sees it, as it sees the whole root file system. */
export const DIST = fileURLToPath(new URL("../../../dist", import.meta.url));

export const PSK = "the PSK of the tests: long enough, and nowhere else";
export const HUB_ADDRESS = "10.9.0.254";
export const HUB_ADDRESS_6 = "fd00:9::fe";
export const VIRTUAL_SUBNET = "10.173.0.0/16";
export const VIRTUAL_SUBNET_6 = "fd00:173::/64";

/** A plugin of the built executable, before the reference plugins. */
export const BUILT: AttachOptions = { path: [DIST, "/usr/lib/cni"] };

/** Captured between nodes, none of this may be there: a virtual address in the clear, in either direction. */
export const PLAIN = `net ${VIRTUAL_SUBNET} or net ${VIRTUAL_SUBNET_6}`;
/** What encrypted pods look like: IKE and ESP in UDP. */
export const ENCRYPTED = "udp port 4500";

/** What nodes need of a hub. */
export interface ClusterHub extends AsyncDisposable {
  /** Starts it, also again after `down`. */
  up(): Promise<void>;
  /** Ends it. SIGTERM tells the pods, SIGKILL does not. */
  down(signal?: "SIGTERM" | "SIGKILL"): Promise<void>;
}

/** Nodes with a hub on one underlay. */
export class Cluster<Hub extends ClusterHub = StockHub> implements AsyncDisposable {
  private constructor(
    readonly testbed: Testbed,
    readonly hub: Hub,
    readonly hubNode: Node,
    readonly nodes: readonly Node[],
    readonly resources: AsyncDisposableStack,
  ) {}

  /** With a stock hub. */
  static create(count = 2, hubOptions: Partial<StockHubOptions> = {}): Promise<Cluster> {
    return Cluster.with(count, (node) => StockHub.start(node, { psk: PSK, ...hubOptions }));
  }

  /** With the hub that `start` starts on a node of its own. */
  static async with<Hub extends ClusterHub>(count: number, start: (node: Node) => Promise<Hub>): Promise<Cluster<Hub>> {
    await using undo = new AsyncDisposableStack();
    const testbed = undo.use(await Testbed.create());
    const hubNode = await testbed.node("hub", { addresses: [`${HUB_ADDRESS}/24`, `${HUB_ADDRESS_6}/64`] });
    const hub = undo.use(await start(hubNode));
    const nodes: Node[] = [];
    for (let index = 1; index <= count; index += 1) {
      nodes.push(await testbed.node(`n${index}`, { addresses: [`10.9.0.${index}/24`, `fd00:9::${index}/64`] }));
    }
    return new Cluster(testbed, hub, hubNode, nodes, undo.move());
  }

  /** The `index`th node, from 1. */
  node(index = 1): Node {
    const node = this.nodes[index - 1];
    if (node === undefined) throw new RangeError(`the cluster has no node ${index}`);
    return node;
  }

  /** Identities that a stock hub lists as online, with their virtual IPs. */
  async onlineLeases(this: Cluster<StockHub>): Promise<string[]> {
    const pools = await this.hub.swanctl("--list-pools", "--leases");
    return pools.split("\n").filter((line) => line.includes("online") && line.includes("'"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
  }
}

/** The seed's configuration, with what a test wants different. `vpn` is merged, everything else replaced. */
export function conf(overrides: Record<string, unknown> & { readonly vpn?: Record<string, unknown> } = {}) {
  const { vpn, ...rest } = overrides;
  return {
    name: "podnet",
    type: "strongswan",
    vpn: { serverIP: HUB_ADDRESS, virtualSubnet: VIRTUAL_SUBNET, hostSubnet: "10.9.0.0/24", PSK, ...vpn },
    bridge: "cni0",
    isDefaultGateway: true,
    forceAddress: false,
    ipMasq: true,
    hairpinMode: true,
    ipam: { type: "host-local", subnet: "172.17.1.0/24" },
    ...rest,
  };
}

/** The pod's virtual IP of a family, out of the result of its ADD: the first of that family. */
export function virtualIP(
  result: { readonly ips: readonly { readonly address: string }[] },
  family: 4 | 6 = 4,
): string {
  const found = result.ips.find(({ address }) => address.includes(":") === (family === 6));
  if (found === undefined) throw new Error(`no IPv${family} address in the result`);
  return found.address.slice(0, found.address.indexOf("/"));
}

/** A pod that has been added, removed again at the end of its scope. */
export async function addedPod(node: Node, name: string, configuration = conf(), options: AttachOptions = BUILT) {
  const pod: Pod = await node.addPod(name);
  const result = await pod.add(configuration, options);
  return {
    pod,
    result,
    ip: virtualIP(result),
    async [Symbol.asyncDispose]() {
      await pod.del(configuration, options);
      await pod.remove();
    },
  };
}
