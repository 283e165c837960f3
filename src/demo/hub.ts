import type { Node } from "../testbed/node.ts";
import { startDaemon } from "./daemon.ts";

const CONFIGURATION = "/etc/podvpn/hub.yaml";
const LOG = "/run/hub.log";

/** Starts `podvpn hub` on a machine; returns when it serves pods. @throws Fault 5 with what it said. */
export async function startHub(machine: Node, configuration: Readonly<Record<string, string>>): Promise<void> {
  const lines = Object.entries(configuration).map(([key, value]) => `${key}: ${value}\n`);
  await machine.writeFile(CONFIGURATION, lines.join(""));
  const hub = startDaemon(machine, `hub --config ${CONFIGURATION}`, LOG);
  await hub.line(/\bserving /, 10_000);
}
