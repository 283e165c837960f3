import { keptNodes } from "../testbed/kept.ts";
import { SWITCH_NAME } from "../testbed/testbed.ts";
import type { DemoPod } from "./lab.ts";
import type { Sight } from "./mode.ts";
import { labelOf, type Show } from "./show.ts";
import type { Say } from "./story.ts";

/** Commands to look around on what stays up, with the pids of this demo. */
export function tellKept(say: Say, show: Show, sights: readonly Sight[]): void {
  const machines = keptNodes(labelOf(show));
  const enter = (name: string) => `nsenter -a -t ${machines.find((machine) => machine.name === name)?.pid}`;
  say(`\n${show.id} stays up. A shell on a machine (\`ip netns\` lists its pods):`);
  for (const { name } of machines) if (name !== SWITCH_NAME) say(`  ${enter(name)} bash    # ${name}`);
  const wire = { what: "What goes over the wire", machine: SWITCH_NAME, command: "tcpdump -ni br0" };
  for (const { what, machine, command } of [...sights, wire]) say(`${what}:\n  ${enter(machine)} ${command}`);
}

/** How to ping from one pod to another. Pure. */
export function pingSight({ pod: { name, node } }: DemoPod, to: DemoPod): Sight {
  const command = `ip netns exec ${name} ping ${to.addresses[0]}`;
  return { what: `Ping from ${name} to ${to.pod.name}`, machine: node.name, command };
}
