import { programs } from "../programs.ts";
import type { Node } from "../testbed/node.ts";
import type { Pod } from "../testbed/pod.ts";
import type { Testbed } from "../testbed/testbed.ts";
import type { NetworkConfiguration, Prepared } from "./mode.ts";
import type { DemoNode } from "./topology.ts";

/** Where the nodes have our executable, under all its names. */
const BIN = "/opt/cni/bin";
/** The operator's command on a node. */
export const PODVPN = `${BIN}/podvpn`;

/** A node with what was planned for it. */
export interface LabNode {
  readonly plan: DemoNode;
  readonly node: Node;
}

/** A pod that has been added. */
export interface DemoPod {
  readonly pod: Pod;
  readonly conf: NetworkConfiguration;
  /** As its CNI result has them; over the first it talks. */
  readonly addresses: readonly string[];
  /** Milliseconds from the start of the plugin to its end. */
  readonly addTime: number;
}

/** The demo's machines, on which our executable is installed. */
export class Lab {
  private constructor(
    private readonly testbed: Testbed,
    private readonly executable: string,
    readonly nodes: readonly LabNode[],
  ) {}

  /** @param executable Our single-file executable. @throws Fault when a part of the machine is missing. */
  static async build(testbed: Testbed, executable: string, plans: readonly DemoNode[]): Promise<Lab> {
    const nodes = plans.map(async (plan) => ({ plan, node: await addMachine(testbed, executable, plan) }));
    return new Lab(testbed, executable, await Promise.all(nodes));
  }

  /** One more machine, which is not a node for pods. */
  addMachine(name: string, address: string): Promise<Node> {
    return addMachine(this.testbed, this.executable, { name, address });
  }

  /** Adds all pods, as a container runtime does: one after the other, so that the times say something. */
  async addPods({ configuration }: Prepared): Promise<DemoPod[]> {
    const pods: DemoPod[] = [];
    for (const { plan, node } of this.nodes) {
      const conf = configuration(plan);
      for (const name of plan.pods) pods.push(await addPod(await node.addPod(name), conf));
    }
    return pods;
  }
}

/** A machine on which our executable is installed. */
export async function addMachine(
  testbed: Testbed,
  executable: string,
  { name, address }: Pick<DemoNode, "name" | "address">,
): Promise<Node> {
  const machine = await testbed.node(name, { addresses: [`${address}/24`] });
  // In its own /opt: nothing of it is on the real machine. A plugin is the executable under another name.
  const links = programs.map((program) => `ln -s "$0" ${BIN}/${program}`);
  await machine.exec(["sh", "-ec", ["mkdir -p", BIN, ";", links.join(";")].join(" "), executable]);
  return machine;
}

/** ADD of a pod's network, as a container runtime does it. @throws RuntimeError with the plugin's error. */
export async function addPod(pod: Pod, conf: NetworkConfiguration): Promise<DemoPod> {
  const start = performance.now();
  const { ips } = await pod.add(conf);
  const addTime = performance.now() - start;
  return { pod, conf, addresses: ips.map(({ address }) => address.replace(/\/\d+$/, "")), addTime };
}
