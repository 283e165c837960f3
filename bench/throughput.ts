import type { Place } from "../src/testbed/place.ts";
import type { Pod } from "../src/testbed/pod.ts";
import { Mesh, nodeAddress } from "../test/netns/support/mesh.ts";
import type { Series } from "./rounds.ts";

/** Names of the ways under measurement, all from node 1 to node 2 of a mesh of two. */
export const THROUGHPUT_SERIES = {
  pods: "pod → pod, routed through the nodes' devices",
  hosts: "host → host, through the same two devices",
  plain: "pod → pod, routed without WireGuard",
} as const;

/** Seconds of each measurement, and those before it that do not count (TCP's slow start). */
const SECONDS = 2;
const OMITTED = 1;

/** Of the devices themselves, for the two hosts. */
const deviceAddress = (index: number) => `10.99.0.${index}`;
const plainSubnet = (index: number) => `10.77.${index}.0/24`;

/** Mbit/s of one TCP connection by round, each way once in every round. @param directory With our plugins. */
export async function measureThroughput(directory: string, rounds: number): Promise<Series> {
  await using mesh = await Mesh.create(2);
  const options = { path: [directory, "/usr/lib/cni"] };
  await using stack = new AsyncDisposableStack();
  const [from, to] = [
    stack.use(await mesh.addedPod(1, "from", networkOf(mesh, 1), options)),
    stack.use(await mesh.addedPod(2, "to", networkOf(mesh, 2), options)),
  ];
  const plain = [await plainPod(mesh, 1), await plainPod(mesh, 2)] as const;
  const ways = [
    { name: THROUGHPUT_SERIES.pods, client: from.pod, server: to.pod, address: to.ip },
    { name: THROUGHPUT_SERIES.hosts, client: mesh.at(1).node, server: mesh.at(2).node, address: deviceAddress(2) },
    { name: THROUGHPUT_SERIES.plain, client: plain[0].pod, server: plain[1].pod, address: plain[1].address },
  ];
  for (const { server } of ways) {
    const program = stack.use(server.spawn(["iperf3", "--server", "--forceflush"]));
    await program.line(/^Server listening/, 10_000);
  }
  const series: Record<string, number[]> = {};
  for (let round = 0; round < rounds; round += 1) {
    // Back and forth: neither way is always the one that comes after the fast one.
    for (const { name, client, address } of round % 2 === 0 ? ways : ways.toReversed()) {
      series[name] = [...(series[name] ?? []), await throughput(client, address)];
    }
  }
  return series;
}

/** Mbit/s that the receiver has seen. */
async function throughput(client: Place, address: string): Promise<number> {
  const times = ["--time", String(SECONDS), "--omit", String(OMITTED)];
  const { stdout } = await client.exec(["iperf3", "--client", address, "--json", ...times]);
  const bits: unknown = JSON.parse(stdout)?.end?.sum_received?.bits_per_second;
  if (typeof bits !== "number" || bits === 0) throw new Error(`iperf3 towards ${address} has measured nothing`);
  return bits / 1e6;
}

/** The mesh's network, with an address for the device of each host. */
function networkOf(mesh: Mesh, index: number): Record<string, unknown> {
  const peers = mesh.nodes
    .filter((other) => other.index !== index)
    .map(({ index: other, publicKey }) => ({
      publicKey,
      endpoint: `${nodeAddress(other)}:51820`,
      allowedIPs: [`10.1.${other}.0/24`, `${deviceAddress(other)}/32`],
    }));
  const ipam = { type: "host-local", subnet: `10.1.${index}.0/24` };
  return mesh.conf(index, { ipam, wireguard: { peers, address: [`${deviceAddress(index)}/32`] } });
}

/** A pod on a bridge of the reference plugin, which the other node routes to over the underlay. */
async function plainPod(mesh: Mesh, index: number): Promise<{ readonly pod: Pod; readonly address: string }> {
  const { node } = mesh.at(index);
  const pod = await node.addPod("plain");
  const ipam = { type: "host-local", subnet: plainSubnet(index) };
  const network = {
    cniVersion: "1.0.0",
    name: "plain",
    type: "bridge",
    bridge: "plain0",
    isDefaultGateway: true,
    ipam,
  };
  const { ips } = await pod.add(network);
  const other = 3 - index;
  await node.exec(["ip", "route", "add", plainSubnet(other), "via", nodeAddress(other)]);
  return { pod, address: ips[0]?.address.replace(/\/\d+$/, "") ?? "" };
}
