import { AGENT_CONFIG } from "../../config/agent.ts";
import { family } from "../../net/address.ts";
import { tunnelMtu } from "../../net/mtu.ts";
import { type Finding, findingsOf } from "../finding.ts";
import type { PathFacts } from "../gather/paths.ts";

const { ok, none, bad } = findingsOf("path MTU");

/** Linux turns IPv6 off on a link with less (RFC 8200 section 5). */
const IPV6_MTU = 1280;

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
    const six = device.record.guarded.find((prefix) => family(prefix) === 6);
    if (fitting < IPV6_MTU && six !== undefined) {
      const needed = mtu.wanted - inner + IPV6_MTU;
      const remedy = `let ${needed} bytes pass on the way, or take IPv6 out of the mesh: it needs a tunnel of ${IPV6_MTU} bytes`;
      return bad(`${what}: large packets are lost`, { remedy });
    }
    if (device.isAgents) {
      const command = `sed -i '/^mtu:/d' ${AGENT_CONFIG} && sed -i '$a mtu: ${mtu.largest}' ${AGENT_CONFIG}`;
      return bad(`${what}: large packets are lost`, { command, remedy: "the agents take it over, on both sides" });
    }
    return bad(`${what}: large packets are lost`, {
      command: `ip link set ${device.name} mtu ${fitting}`,
      remedy: `the other node sends them as well: run \`podvpn doctor\` there; keep it by "mtu": ${fitting} in wireguard of the network`,
    });
  });
}
