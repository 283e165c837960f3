import type { Applied, WantedTunnels } from "../../../src/agent/driver.ts";
import { splitPlan } from "../../../src/agent/split.ts";
import { isAddress } from "../../../src/mesh/candidates.ts";
import type { PlannedPeer } from "../../../src/mesh/mesh-plan.ts";
import { plan } from "../../../src/mesh/plan.ts";
import { type Address, parseAddress } from "../../../src/net/address.ts";
import type { Endpoint } from "../../../src/net/endpoint.ts";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";
import type { Driver, NodeRecord } from "../../../src/registry/node-record.ts";
import type { Node } from "../../../src/testbed/node.ts";
import { patience } from "../../../src/testbed/patience.ts";
import { Testbed } from "../../../src/testbed/testbed.ts";
import { DriverNode } from "./driver-node.ts";
import { nodeAddress, nodeAddress6, podSubnet, podSubnet6 } from "./mesh.ts";

/** One way to encrypt, as the suite of drivers sees it. */
export interface DriverKind {
  readonly name: Driver;
  /** Path of a module that exports `makeDriver(options)`; it is loaded on the nodes. */
  readonly module: string;
  /** What `makeDriver` gets on a node. */
  readonly options: unknown;
  /** Where encrypted packets go, UDP. */
  readonly port: number;
  /** In tcpdump's language: what a tunnel looks like from outside. */
  readonly encrypted: string;
  /** Makes a node's keys, and gives what its record says of them. */
  identity(node: Node): Promise<Pick<NodeRecord, "wireguard" | "ipsec">>;
  /** Ends the daemon of the node's driver by SIGKILL, and waits for its end. */
  kill(node: Node): Promise<void>;
}

/** All that pods may have: also of nodes that are not there. */
const NETWORK = ["10.1.0.0/16", "fd00:1::/32"].map(prefix);

/** Nodes with a driver and a pod each, on one underlay. Nothing is applied unless it is asked for. */
export class DriverBed implements AsyncDisposable {
  readonly testbed: Testbed;
  readonly kind: DriverKind;
  /** Those that are in the registry, by their names. */
  readonly nodes = new Map<string, DriverNode>();

  private constructor(testbed: Testbed, kind: DriverKind) {
    this.testbed = testbed;
    this.kind = kind;
  }

  /** @param count Of nodes `n1`, `n2` and so on. */
  static async create(kind: DriverKind, count: number): Promise<DriverBed> {
    await using undo = new AsyncDisposableStack();
    const bed = new DriverBed(undo.use(await Testbed.create()), kind);
    for (let index = 1; index <= count; index += 1) await bed.join(index);
    undo.move();
    return bed;
  }

  /** A node that comes: it has a pod and a driver, but nothing is applied. */
  async join(index: number): Promise<DriverNode> {
    const name = `n${index}`;
    const addresses = [`${nodeAddress(index)}/24`, `${nodeAddress6(index)}/64`];
    const node = await this.testbed.node(name, { addresses });
    const pod = await node.addPod("pod");
    await node.exec(["ip", "-batch", "-"], { input: nodeSide(index).join("\n") });
    await pod.exec(["ip", "-batch", "-"], { input: podSide(index).join("\n") });
    const record: NodeRecord = {
      name,
      generation: 1,
      underlay: { private: [nodeAddress(index), nodeAddress6(index)].map(address), public: [] },
      podPrefixes: [podSubnet(index), podSubnet6(index)].map(prefix),
      addresses: [`10.1.${index}.1`, `fd00:1:${index}::1`].map(address),
      drivers: [this.kind.name],
      ...(await this.kind.identity(node)),
      gateway: false,
      keepalive: 0,
      labels: {},
    };
    const joined = new DriverNode(node, pod, record, this.kind.module, this.kind.options);
    await joined.start();
    this.nodes.set(name, joined);
    return joined;
  }

  at(index: number): DriverNode {
    const found = this.nodes.get(`n${index}`);
    if (found === undefined) throw new RangeError(`the bed has no node ${index}`);
    return found;
  }

  /** The node is in nobody's registry any more; it goes on to run. */
  leave(index: number): DriverNode {
    const node = this.at(index);
    this.nodes.delete(node.record.name);
    return node;
  }

  /** What the node's driver has to bring about. */
  wanted(node: DriverNode): WantedTunnels {
    const { name, addresses } = node.record;
    const records = [...this.nodes.values()].map(({ record }) => record);
    const options = { topology: "full", down: new Set<string>(), network: NETWORK } as const;
    const wanted = splitPlan(plan(records, name, options), {
      drivers: [this.kind.name],
      addresses,
      endpointOf: (peer) => endpointOf(peer, this.kind.port),
      isLost: () => false,
    });
    const found = wanted.get(this.kind.name);
    if (found === undefined) throw new TypeError("nothing is wanted");
    return found;
  }

  /**
   * What the agents do when the registry has changed: who says that it is not at rest applies again.
   * @returns What came of the first time.
   */
  async applyAll(): Promise<Applied[]> {
    return await Promise.all([...this.nodes.values()].map((node) => this.#applied(node)));
  }

  async #applied(node: DriverNode): Promise<Applied> {
    const first = await node.apply(this.wanted(node));
    const until = performance.now() + patience(20_000);
    for (let { again } = first; again !== undefined && performance.now() < until; ) {
      await new Promise((resolve) => setTimeout(resolve, again));
      ({ again } = await node.apply(this.wanted(node)));
    }
    const { again: _, ...applied } = first;
    return applied;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.testbed[Symbol.asyncDispose](); // and all that runs there
  }
}

function endpointOf({ candidates }: PlannedPeer, port: number): Endpoint | undefined {
  const host = candidates.map((candidate) => candidate.host).find(isAddress);
  return host === undefined ? undefined : { address: host, port };
}

function nodeSide(index: number): string[] {
  return [
    "link add vpod type veth peer name eth0 netns pod",
    "link set vpod up",
    `address add 10.1.${index}.1/24 dev vpod`,
    `address add fd00:1:${index}::1/64 dev vpod nodad`,
  ];
}

function podSide(index: number): string[] {
  return [
    "link set eth0 up",
    `address add 10.1.${index}.10/24 dev eth0`,
    `address add fd00:1:${index}::10/64 dev eth0 nodad`,
    `route add default via 10.1.${index}.1`,
    `route add default via fd00:1:${index}::1`,
  ];
}

function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}
