import { keptNodes } from "../testbed/kept.ts";
import { SWITCH_NAME } from "../testbed/testbed.ts";
import { type DemoPod, PODVPN } from "./lab.ts";
import type { Mode, Sight } from "./mode.ts";
import { labelOf } from "./modes.ts";
import type { Say } from "./story.ts";

/** Commands to look around on what stays up, with the pids of this demo. */
export function tellKept(say: Say, mode: Mode, pods: readonly DemoPod[]): void {
  const machines = keptNodes(labelOf(mode));
  const enter = (name: string) => `nsenter -a -t ${machines.find((machine) => machine.name === name)?.pid}`;
  say(`\n${mode.plugin} stays up. A shell on a machine (\`ip netns\` lists the pods of a node):`);
  for (const { name } of machines) if (name !== SWITCH_NAME) say(`  ${enter(name)} bash    # ${name}`);
  for (const { what, machine, command } of [...mode.sights, ...sharedSights(pods)]) {
    say(`${what}:\n  ${enter(machine)} ${command}`);
  }
}

function sharedSights([first, , other]: readonly DemoPod[]): Sight[] {
  const wire = { what: "What goes over the wire", machine: SWITCH_NAME, command: "tcpdump -ni br0" };
  if (first === undefined || other === undefined) return [wire];
  const { name, node } = first.pod;
  const ping = `ip netns exec ${name} ping ${other.addresses[0]}`;
  return [
    { what: `The tunnels of ${node.name}`, machine: node.name, command: `${PODVPN} status` },
    wire,
    { what: `Ping from ${name} to ${other.pod.name}`, machine: node.name, command: ping },
  ];
}
