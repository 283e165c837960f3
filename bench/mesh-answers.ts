// Runs inside a node of the testbed: answers the agent's probes for all of its peers, and probes it as each of them would.
// Their addresses are the node's own (a local route), so that packets to them pass by the loopback: what the agent does
// is what it does on a node, and only the encryption between is left out.
//   mesh-answers.ts COUNT OWN INTERVAL    OWN: the agent's address in the mesh; INTERVAL: seconds between two probes
import { decodeProbePacket, encodeProbePacket, PROBE_LENGTH } from "../src/agent/probe/packet.ts";
import { openUdp, type UdpSocket } from "../src/os/udp.ts";
import { meshAddress } from "./mesh-records.ts";

const PORT = 7174;
/** Milliseconds. */
const TICK = 10;

const [count, own = "", interval] = [Number(process.argv[2]), process.argv[3], Number(process.argv[4]) * 1000];
const sockets: UdpSocket[] = [];
for (let index = 0; index < count; index += 1) sockets.push(await answering(index));
process.stdout.write("ready\n");

let next = 0;
const began = performance.now();
setInterval(() => {
  const due = Math.floor(((performance.now() - began) * count) / interval);
  for (; next < due; next += 1) {
    const sequence = Math.floor(next / count);
    const probe = encodeProbePacket({ type: "probe", session: 1, sequence, sentAt: 0n });
    sockets[next % count]?.send(probe, PORT, own);
  }
}, TICK);

async function answering(index: number): Promise<UdpSocket> {
  const socket = await openUdp({ address: meshAddress(index), port: PORT, limit: PROBE_LENGTH }, (bytes, from) => {
    const packet = decodeProbePacket(bytes);
    if (packet?.type !== "probe") return;
    socket.send(encodeProbePacket({ ...packet, type: "answer", received: 0xffff_ffff }), from.port, from.address);
  });
  return socket;
}
