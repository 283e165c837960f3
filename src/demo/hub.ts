import type { Node } from "../testbed/node.ts";
import { HUB, PSK_FILE, VIRTUAL_SUBNET } from "./topology.ts";

const CONFIGURATION = "/etc/podvpn/hub.yaml";
const LOG = "/run/hub.log";

/** Not by a pipe to us: a demo that is kept outlives us, and the hub must go on writing. tail(1) is only the reader. */
const START = `/opt/cni/bin/podvpn hub --config ${CONFIGURATION} </dev/null >${LOG} 2>&1 & exec tail --pid=$! -n +1 -F ${LOG}`;

/** Starts `podvpn hub` on a node; returns when it serves pods. @throws Fault 5 with what it said. */
export async function startHub(node: Node): Promise<void> {
  await node.writeFile(CONFIGURATION, hubConfiguration());
  const hub = node.spawn(["sh", "-c", START]);
  await hub.line(/\bserving /, 10_000);
}

/** Pure. */
function hubConfiguration(): string {
  return `listen: ${HUB.address}\nvirtualSubnets: [${VIRTUAL_SUBNET}]\npskFile: ${PSK_FILE}\n`;
}
