import { randomBytes } from "node:crypto";
import type { Node } from "../testbed/node.ts";
import type { Pod } from "../testbed/pod.ts";
import type { Testbed } from "../testbed/testbed.ts";
import { startHub } from "./hub.ts";
import { type DemoNode, HUB, NODES, networkConfiguration, PSK_FILE } from "./topology.ts";

/** By what `podvpn demo --down` finds a demo that was kept. */
export const DEMO_LABEL = "podvpn-demo";

/** A pod that has been added. */
export interface DemoPod {
  readonly pod: Pod;
  readonly conf: Readonly<Record<string, unknown>>;
  readonly bridgeIP: string;
  readonly virtualIP: string;
  /** Milliseconds from the start of the plugin to its end. */
  readonly addTime: number;
}

/** The demo's machines: a hub, and nodes on which our executable is installed as a plugin. */
export class Lab {
  private constructor(
    readonly testbed: Testbed,
    readonly nodes: ReadonlyMap<DemoNode, Node>,
  ) {}

  /** @param executable Our single-file executable. @throws Fault when a part of the machine is missing. */
  static async build(testbed: Testbed, executable: string): Promise<Lab> {
    const psk = randomBytes(32).toString("base64");
    const [hub, ...nodes] = await Promise.all([
      testbed.node(HUB.name, { addresses: [`${HUB.address}/24`] }),
      ...NODES.map(({ name, address }) => testbed.node(name, { addresses: [address] })),
    ]);
    await Promise.all(
      [hub, ...nodes].map(async (node) => {
        await node.writeFile(PSK_FILE, `${psk}\n`, 0o600);
        // In the node's own /opt: nothing of it is on the machine. A plugin is the executable under another name.
        await node.exec(["mkdir", "-p", "/opt/cni/bin"]);
        await node.exec(["ln", "-s", executable, "/opt/cni/bin/podvpn"]);
        await node.exec(["ln", "-s", executable, "/opt/cni/bin/strongswan"]);
      }),
    );
    await startHub(hub);
    return new Lab(testbed, new Map(NODES.map((demoNode, index) => [demoNode, at(nodes, index)])));
  }

  /** Adds all pods, as a container runtime does: one after the other, so that the times say something. */
  async addPods(): Promise<DemoPod[]> {
    const pods: DemoPod[] = [];
    for (const [demoNode, node] of this.nodes) {
      const conf = networkConfiguration(demoNode);
      for (const name of demoNode.pods) pods.push(await addPod(await node.addPod(name), conf));
    }
    return pods;
  }
}

async function addPod(pod: Pod, conf: Readonly<Record<string, unknown>>): Promise<DemoPod> {
  const start = performance.now();
  const { ips } = await pod.add(conf);
  const addTime = performance.now() - start;
  // The virtual IP comes first in the result; the address on the bridge follows.
  const [virtualIP = "", bridgeIP = ""] = ips.map(({ address }) => address.replace(/\/\d+$/, ""));
  return { pod, conf, virtualIP, bridgeIP, addTime };
}

function at(nodes: readonly Node[], index: number): Node {
  const node = nodes[index];
  if (node === undefined) throw new RangeError(`node ${index}`);
  return node;
}
