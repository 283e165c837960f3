import { existsSync, rmSync } from "node:fs";
import { type Netns, openNetns } from "../../../src/os/namespace.ts";
import type { Node } from "../../../src/testbed/node.ts";
import type { Pod } from "../../../src/testbed/pod.ts";
import { Testbed } from "../../../src/testbed/testbed.ts";

/** The router's interface towards {@link Router.remote}: stands for a WireGuard device. */
export const DEVICE = "podvpn0";
/** The router's interface towards {@link Router.pod}. */
export const POD_INTERFACE = "pods0";

/** Addresses by family: of the pod and its subnet, and of the remote pod. */
export const POD = { 4: "10.1.0.2", 6: "fd00:1::2" } as const;
export const POD_SUBNET = { 4: "10.1.0.0/24", 6: "fd00:1::/64" } as const;
export const REMOTE = { 4: "10.2.0.2", 6: "fd00:2::2" } as const;
export const REMOTE_SUBNET = { 4: "10.2.0.0/24", 6: "fd00:2::/64" } as const;

/** A node that forwards between a pod and a remote one, each on an interface of its own. */
export class Router implements AsyncDisposable {
  private constructor(
    readonly node: Node,
    readonly pod: Pod,
    readonly remote: Pod,
    /** The node's network namespace. */
    readonly netns: Netns,
    private readonly resources: AsyncDisposableStack,
  ) {}

  static async create(): Promise<Router> {
    await using undo = new AsyncDisposableStack();
    const testbed = undo.use(await Testbed.create());
    const node = await testbed.node("router", { addresses: ["10.9.0.1/24"] });
    const pod = await node.addPod("pod");
    const remote = await node.addPod("remote");
    await plug(node, pod, POD_INTERFACE, "1");
    await plug(node, remote, DEVICE, "2");
    const netns = undo.use(openNetns(`/proc/${node.pid}/ns/net`));
    if (!existsSync(LEGACY_LOCK)) undo.defer(() => rmSync(LEGACY_LOCK, { force: true }));
    return new Router(node, pod, remote, netns, undo.move());
  }

  /** Runs lines of sh(1) on the router. @throws Fault 5 when one fails. */
  async sh(script: string): Promise<string> {
    return (await this.node.exec(["sh", "-ec", script])).stdout;
  }

  /** Whether the pod reaches the remote one. */
  reaches(family: 4 | 6): Promise<boolean> {
    return this.pod.ping(REMOTE[family]);
  }

  /** Makes the router's firewalls as they were in the beginning: none. */
  async reset(): Promise<void> {
    await this.sh(RESET);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
  }
}

/** What iptables-legacy leaves in our mount namespace when the code under test runs it in the router's network. */
const LEGACY_LOCK = "/run/xtables.lock";

/** x_tables keeps a table that it has once made, empty and with the policy ACCEPT. */
const RESET = `nft flush ruleset
for program in iptables-legacy ip6tables-legacy; do
  $program -P FORWARD ACCEPT
  $program -F
  $program -t nat -F
done`;

async function plug(node: Node, pod: Pod, device: string, net: string): Promise<void> {
  await node.exec(["ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", pod.name]);
  await node.exec(["ip", "-batch", "-"], { input: addressing(device, net, "1").join("\n") });
  const routes = [`route add default via 10.${net}.0.1`, `route add default via fd00:${net}::1`];
  await pod.exec(["ip", "-batch", "-"], { input: [...addressing("eth0", net, "2"), ...routes].join("\n") });
}

function addressing(device: string, net: string, host: string): string[] {
  return [
    `link set ${device} up`,
    `address add 10.${net}.0.${host}/24 dev ${device}`,
    `address add fd00:${net}::${host}/64 dev ${device} nodad`,
  ];
}
