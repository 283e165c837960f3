import type { Node } from "../../../src/testbed/node.ts";
import type { Pod } from "../../../src/testbed/pod.ts";

/** Addresses of a pod of a node, of both families. */
export interface MeshPod {
  readonly pod: Pod;
  readonly ip: string;
  readonly ip6: string;
}

/** A pod with addresses of its node's share, as any network plugin makes one. @param index Of the node, in an `AgentBed`. */
export async function meshPod(node: Node, index: number): Promise<MeshPod> {
  const pod = await node.addPod("pod");
  const [gateway, gateway6] = [`10.101.${index}.9`, `fd00:101:${index}::9`];
  const [ip, ip6] = [`10.101.${index}.10`, `fd00:101:${index}::10`];
  const outside = [
    "link add vpod type veth peer name eth0 netns pod",
    "link set vpod up",
    `address add ${gateway}/24 dev vpod`,
    `address add ${gateway6}/64 dev vpod nodad`,
  ];
  const inside = [
    "link set eth0 up",
    `address add ${ip}/24 dev eth0`,
    `address add ${ip6}/64 dev eth0 nodad`,
    `route add default via ${gateway}`,
    `route add default via ${gateway6}`,
  ];
  await node.exec(["ip", "-batch", "-"], { input: outside.join("\n") });
  await pod.exec(["ip", "-batch", "-"], { input: inside.join("\n") });
  return { pod, ip, ip6 };
}
