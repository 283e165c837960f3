import type { Testbed } from "../testbed/testbed.ts";
import { pingSight } from "./kept.ts";
import { tellKilling } from "./killing.ts";
import { type DemoPod, Lab, PODVPN } from "./lab.ts";
import { removePods, snapshotNodes } from "./left.ts";
import type { Mode, Sight } from "./mode.ts";
import type { Show, TellOptions, Told } from "./show.ts";
import { pingAll, type Say, tellMachines, tellPods, tellTitle, tellWire } from "./story.ts";
import { NODES } from "./topology.ts";

/** The story of one plugin: who reaches whom, what goes over the wire, what a kill does, what is left. */
export function pluginShow(mode: Mode): Show {
  return {
    name: mode.plugin,
    id: mode.plugin,
    isShared: false,
    tell: (say, testbed, options) => tell(say, mode, testbed, options),
  };
}

async function tell(say: Say, mode: Mode, testbed: Testbed, { executable, keep }: TellOptions): Promise<Told> {
  tellTitle(say, mode);
  await using capture = await testbed.capture();
  const lab = await Lab.build(testbed, executable, NODES);
  const prepared = await mode.prepare(lab);
  tellMachines(say, prepared);
  const before = await snapshotNodes(lab.nodes.map(({ node }) => node));
  const pods = await lab.addPods(prepared);
  tellPods(say, mode, pods);
  const wrong = [...(await pingAll(say, mode, pods)), ...(await tellWire(say, mode.wire, capture))];
  if (!keep) {
    wrong.push(...(await tellKilling(say, mode, await mode.killing(pods), capture)));
    wrong.push(...(await removePods(say, pods, before)));
    await capture.stop();
  }
  return { wrong, sights: [...mode.sights, ...sightsOf(pods)] };
}

function sightsOf([first, , other]: readonly DemoPod[]): Sight[] {
  if (first === undefined || other === undefined) return [];
  const { node } = first.pod;
  return [
    { what: `The tunnels of ${node.name}`, machine: node.name, command: `${PODVPN} status` },
    pingSight(first, other),
  ];
}
