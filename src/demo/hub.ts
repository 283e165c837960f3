import type { Node } from "../testbed/node.ts";
import { PODVPN } from "./lab.ts";

const CONFIGURATION = "/etc/podvpn/hub.yaml";
const LOG = "/run/hub.log";

/** Not by a pipe to us: a demo that is kept outlives us, and the hub must go on writing. tail(1) is only the reader. */
const START = `${PODVPN} hub --config ${CONFIGURATION} </dev/null >${LOG} 2>&1 & exec tail --pid=$! -n +1 -F ${LOG}`;

/** Starts `podvpn hub` on a machine; returns when it serves pods. @throws Fault 5 with what it said. */
export async function startHub(machine: Node, configuration: Readonly<Record<string, string>>): Promise<void> {
  const lines = Object.entries(configuration).map(([key, value]) => `${key}: ${value}\n`);
  await machine.writeFile(CONFIGURATION, lines.join(""));
  const hub = machine.spawn(["sh", "-c", START]);
  await hub.line(/\bserving /, 10_000);
}
