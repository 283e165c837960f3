import { readdirSync, readFileSync } from "node:fs";
import type { Attachment } from "../../../src/attachment/record.ts";
import type { Scene } from "./act.ts";
import { NETWORKS } from "./machines.ts";
import { NODES, type NodeIndex, PLUGINS, slotsOf } from "./slots.ts";

const PODS = "/run/podvpn/pods";

/** What is wrong with what the nodes have on disk and in their kernels, compared with the pods that are there. */
export async function violations(scene: Scene): Promise<string[]> {
  const perNode = await Promise.all(NODES.map((index) => ofNode(scene, index)));
  return [...twice(scene), ...perNode.flat()];
}

/** No two pods have the same address, by the results of their ADD. */
function twice({ pods }: Scene): string[] {
  const owners = new Map<string, string>();
  const found: string[] = [];
  for (const [{ name }, { addresses }] of pods.live) {
    for (const address of Object.values(addresses)) {
      const other = owners.get(address);
      if (other !== undefined) found.push(`${other} and ${name} both have ${address}`);
      owners.set(address, name);
    }
  }
  return found;
}

/** Records, links and reservations of addresses are those of the pods that are there, and no others. */
async function ofNode({ machines, pods }: Scene, index: NodeIndex): Promise<string[]> {
  const node = machines.node(index);
  const slots = slotsOf(pods.live.keys(), { node: index });
  const records = list(node.path(PODS));
  const expected = slots.map((slot) => `${pods.podIn(slot).containerID}+eth0`).sort();
  const found =
    records.join() === expected.join()
      ? []
      : [`records of ${records.join(", ") || "nobody"}, pods ${expected.join(", ")}`];
  for (const slot of slots) {
    const record = readRecord(node.path(`${PODS}/${pods.podIn(slot).containerID}+eth0/attachment.json`));
    if (record?.phase !== "ready" || record.type !== slot.plugin)
      found.push(`${slot.name}: record ${JSON.stringify(record)}`);
    const addresses = pods.live.get(slot)?.addresses;
    if (record?.type === "strongswan" && record.virtualIPs.join() !== [addresses?.[4], addresses?.[6]].join()) {
      found.push(`${slot.name}: record of ${record.virtualIPs.join(", ")} instead of ${JSON.stringify(addresses)}`);
    }
  }
  for (const plugin of PLUGINS) {
    const { name, bridge } = NETWORKS[plugin];
    const count = slotsOf(slots, { plugin }).length;
    // After a boot there is no bridge before there is a pod.
    const { code, stdout } = await node.exec(["ip", "-j", "link", "show", "master", bridge], { check: false });
    const ports: unknown = code === 0 ? JSON.parse(stdout) : [];
    const ours = Array.isArray(ports) ? ports.length : 0;
    if (ours !== count) found.push(`${ours} ports of ${bridge} for ${count} pods`);
    const reserved = list(node.path(`/var/lib/cni/networks/${name}`)).filter((file) => /^[\da-f]+[.:]/.test(file));
    if (reserved.length !== 2 * count) found.push(`reservations ${reserved.join(", ")} of ${name} for ${count} pods`);
  }
  return found.map((what) => `${node.name}: ${what}`);
}

function list(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch {
    return []; // nobody has been there yet
  }
}

/** The plugins' own, read as they wrote it. */
function readRecord(path: string): Attachment | undefined {
  try {
    const record: Attachment = JSON.parse(readFileSync(path, "utf8"));
    return record;
  } catch {
    return undefined;
  }
}
