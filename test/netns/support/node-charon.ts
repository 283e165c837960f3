import { connect, type IkeSa, type Vici } from "vici";
import type { Node } from "../../../src/testbed/node.ts";
import type { Pod } from "../../../src/testbed/pod.ts";
import { addedPod, type conf } from "./cluster.ts";
import { eventually } from "./eventually.ts";
import { kernelConf } from "./kernel-esp.ts";

/** Where the node's charon has its files. */
export const NODE_CHARON = "/run/podvpn/charon";

/** Pods whose tunnels the node's charon holds; both families. */
export function nodeConf(overrides: Parameters<typeof conf>[0] = {}) {
  const { vpn, ...rest } = overrides;
  return kernelConf({ ...rest, vpn: { attach: "node", ...vpn } });
}

/** A pod of {@link nodeConf} that has been added. */
export function nodePod(node: Node, name: string, configuration = nodeConf()) {
  return addedPod(node, name, configuration);
}

/** Pid of the node's charon, in its pid namespace. */
export async function nodeCharonPid(node: Node): Promise<string> {
  return (await node.readFile(`${NODE_CHARON}/charon.pid`)).trim();
}

/** Sends the node's charon a signal; SIGKILL is waited for. */
export async function signalNodeCharon(node: Node, signal: "SIGKILL" | "SIGSTOP"): Promise<void> {
  const pid = await nodeCharonPid(node);
  await node.exec(["kill", `-${signal}`, pid]);
  if (signal !== "SIGKILL") return;
  await eventually("the node's charon has ended", 5000, async () => {
    return (await node.exec(["kill", "-0", pid], { check: false })).code !== 0;
  });
}

/** A connection to the node's charon. */
export function nodeVici(node: Node): Promise<Vici> {
  return connect({ path: node.path(`${NODE_CHARON}/vici`), timeout: 60_000 });
}

/** The IKE_SAs of the node's charon. */
export async function nodeSas(node: Node): Promise<IkeSa[]> {
  await using vici = await nodeVici(node);
  const sas: IkeSa[] = [];
  for await (const sa of vici.listSas({}, { timeout: 60_000 })) sas.push(sa);
  return sas;
}

/** A pod's attachment as it is on disk. */
export async function recordOf(pod: Pod, ifname = "eth0"): Promise<{ shared: { ifId: number; device: string } }> {
  return JSON.parse(await pod.node.readFile(`/run/podvpn/pods/${pod.containerID}+${ifname}/attachment.json`));
}

/** The name of a pod's connection: that of its SA, of which it has the virtual IPs. */
export async function tunnelOf(node: Node, ip: string): Promise<IkeSa> {
  const found = (await nodeSas(node)).find(({ localVips }) => localVips.includes(ip));
  if (found === undefined) throw new Error(`the node's charon has no SA with ${ip}`);
  return found;
}

/** The node's end of a pod's eth0. */
export async function vethOf(pod: Pod): Promise<string> {
  const index = (await pod.exec(["cat", "/sys/class/net/eth0/iflink"])).stdout.trim();
  const found = new RegExp(`^${index}: ([^@:]+)`, "m").exec((await pod.node.exec(["ip", "-o", "link"])).stdout);
  if (found?.[1] === undefined) throw new Error(`${pod.node.name} has no link ${index}`);
  return found[1];
}
