import type { DataPlane } from "../wireguard/device.ts";
import { type DemoPod, type Lab, PODVPN } from "./lab.ts";
import type { Killing, Mode, Prepared } from "./mode.ts";
import { killProcesses } from "./processes.ts";
import { bridgePart, type DemoNode, NETWORK, NODES, POD_SUBNETS } from "./topology.ts";

const DEVICE = "podvpn0";
const PORT = 51820;
/** Of the device's wireguard-go, where there is one. */
const PID_FILE = `/run/podvpn/devices/${DEVICE}/wireguard-go.pid`;

/** The plugin `wireguard`: the pods of a node are routed through its WireGuard device. */
export const wireguard: Mode = {
  plugin: "wireguard",
  title: "pods are routed through one WireGuard device on each node",
  addresses: ["address"],
  way: "Pods of one node meet on its bridge, all others in the tunnel.",
  wire: {
    encrypted: { name: "WireGuard", filter: `udp port ${PORT}` },
    plain: { name: `${POD_SUBNETS}, also ARP`, filter: `net ${POD_SUBNETS}` },
    // Type 4 (whitepaper, section 5.4.6), with something in it.
    data: `udp port ${PORT} and udp[8] = 4 and udp[4:2] > 40`,
  },
  prepare,
  killing,
  sights: [{ what: "The peers of node-a", machine: "node-a", command: `${PODVPN} wg show` }],
};

/** Each node makes its key, of which the others get the public half: all that a mesh takes. */
async function prepare({ nodes }: Lab): Promise<Prepared> {
  const keys = await Promise.all(
    nodes.map(async ({ plan, node }) => {
      const { stdout } = await node.exec([PODVPN, "wg", "genkey"]);
      return [plan.name, stdout.trim()] as const;
    }),
  );
  const publicKeys = new Map(keys);
  return {
    machines: [
      ["node", "underlay", "pods", "public key (podvpn wg genkey)"],
      ...NODES.map(({ name, address, podSubnet }) => [name, address, podSubnet, publicKeys.get(name) ?? ""]),
    ],
    configuration: (node) => ({
      cniVersion: "1.0.0",
      name: NETWORK,
      type: "wireguard",
      wireguard: {
        interface: DEVICE,
        listenPort: PORT,
        peers: NODES.filter((other) => other !== node).map((other) => peer(other, publicKeys)),
        removeWithLastPod: true,
      },
      ...bridgePart(node),
    }),
  };
}

function peer({ name, address, podSubnet }: DemoNode, publicKeys: ReadonlyMap<string, string>) {
  return { name, publicKey: publicKeys.get(name), endpoint: `${address}:${PORT}`, allowedIPs: [podSubnet] };
}

/** The device of the first pod's node: its wireguard-go, or itself where the kernel does WireGuard. */
async function killing(pods: readonly DemoPod[]): Promise<Killing> {
  const [first, second, other, , another] = pods;
  if (first === undefined || second === undefined || other === undefined || another === undefined) {
    throw new RangeError("the demo has two pods on each of three nodes");
  }
  const { node } = first.pod;
  const { stdout } = await node.exec([PODVPN, "wg", "show", DEVICE, "--json"]);
  const [device]: readonly { readonly dataPlane: DataPlane }[] = JSON.parse(stdout);
  const isUserspace = device?.dataPlane === "userspace";
  const killWireguardGo = async () => killProcesses(node, [(await node.readFile(PID_FILE)).trim()]);
  return {
    event: isUserspace ? `The wireguard-go of ${node.name} is killed` : `${DEVICE} of ${node.name} is deleted`,
    kill: isUserspace ? killWireguardGo : async () => void (await node.exec(["ip", "link", "delete", DEVICE])),
    cut: [
      [first, other],
      [second, another],
    ],
    named: isUserspace ? /wireguard-go/ : new RegExp(DEVICE),
    mended: true,
  };
}
