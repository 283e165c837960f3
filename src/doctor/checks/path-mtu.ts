import { family } from "../../net/address.ts";
import { tunnelMtu } from "../../net/mtu.ts";
import { type Finding, findingsOf } from "../finding.ts";
import type { PathFacts } from "../gather/paths.ts";

const { ok, none, bad } = findingsOf("path MTU");

/** Whether the largest packet of the tunnel fits the way to each peer, without being cut. Pure. */
export function checkPathMtu(paths: readonly PathFacts[]): Finding[] {
  const measured = paths.flatMap((path) => (path.underlay === undefined ? [] : [{ path, mtu: path.underlay.mtu }]));
  if (measured.length === 0) return [none("no peer has a known address")];
  return measured.map(({ path, mtu }) => {
    const { peer, device } = path;
    const address = peer.endpoint?.address;
    if (address === undefined || mtu.largest === undefined) {
      return none(`${peer.name}: it answers no pings outside of the tunnel, so nothing was measured`);
    }
    const inner = device.link?.mtu ?? 0;
    if (mtu.largest >= mtu.wanted) {
      return ok(`${peer.name}: packets of ${mtu.wanted} bytes pass whole, as ${device.name} with MTU ${inner} needs`);
    }
    const fitting = tunnelMtu(mtu.encapsulation, family(address), mtu.largest);
    const what = `${peer.name}: packets of up to ${mtu.largest} bytes pass, and ${device.name} with MTU ${inner} sends ${mtu.wanted}`;
    const setting = device.isAgents
      ? `mtu: ${mtu.largest} in agent.yaml`
      : `"mtu": ${fitting} in wireguard of the network`;
    return bad(`${what}: large packets are lost`, {
      command: `ip link set ${device.name} mtu ${fitting}`,
      remedy: `keep it by ${setting}`,
    });
  });
}
