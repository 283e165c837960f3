import { randomBytes } from "node:crypto";
import { startHub } from "./hub.ts";
import { type DemoPod, type Lab, PODVPN } from "./lab.ts";
import type { Killing, Mode, NetworkConfiguration, Prepared } from "./mode.ts";
import { killProcesses } from "./processes.ts";
import { bridgePart, type DemoNode, NETWORK, UNDERLAY } from "./topology.ts";

const HUB = { name: "hub", address: "10.9.0.254" } as const;
const VIRTUAL_SUBNET = "10.173.0.0/16";
/** Where every machine keeps the PSK. */
const PSK_FILE = "/etc/podvpn/psk";

/** The plugin `strongswan`: each pod has a charon, and a virtual IP from a hub. */
export const strongswan: Mode = {
  plugin: "strongswan",
  title: "each pod has an IPsec tunnel to a hub, and a virtual IP from it",
  addresses: ["virtual IP", "bridge IP"],
  way: "Each goes by the hub, also from pod to pod of one node.",
  wire: {
    // In UDP as user space and NAT need it, or bare as the kernel may send it.
    encrypted: { name: "IKE, ESP", filter: "udp port 500 or udp port 4500 or esp" },
    plain: { name: VIRTUAL_SUBNET, filter: `net ${VIRTUAL_SUBNET}` },
    // IKE has four bytes of zeros where ESP has its SPI (RFC 3948, section 2).
    data: "esp or (udp port 4500 and udp[8:4] != 0)",
  },
  prepare,
  killing,
  sights: [{ what: "Who has which virtual IP", machine: HUB.name, command: `${PODVPN} hub leases` }],
};

async function prepare(lab: Lab): Promise<Prepared> {
  const psk = randomBytes(32).toString("base64");
  const hub = await lab.addMachine(HUB.name, HUB.address);
  const machines = [hub, ...lab.nodes.map(({ node }) => node)];
  await Promise.all(machines.map((machine) => machine.writeFile(PSK_FILE, `${psk}\n`, 0o600)));
  await startHub(hub, { listen: HUB.address, virtualSubnets: `[${VIRTUAL_SUBNET}]`, pskFile: PSK_FILE });
  return {
    machines: [
      ...lab.nodes.map(({ plan: { name, address, podSubnet, pods } }) => {
        return [name, address, `pods ${pods.join(", ")}`, `bridge ${podSubnet}`];
      }),
      [HUB.name, HUB.address, "podvpn hub", `virtual IPs ${VIRTUAL_SUBNET}`],
    ],
    configuration,
  };
}

function configuration(node: DemoNode): NetworkConfiguration {
  return {
    cniVersion: "1.0.0",
    name: NETWORK,
    type: "strongswan",
    vpn: { serverIP: HUB.address, virtualSubnet: VIRTUAL_SUBNET, hostSubnet: UNDERLAY, pskFile: PSK_FILE },
    ...bridgePart(node),
  };
}

/** The charon of the first pod. */
async function killing(pods: readonly DemoPod[]): Promise<Killing> {
  const [victim, , other] = pods;
  if (victim === undefined || other === undefined) throw new RangeError("the demo has at least three pods");
  const { name, node } = victim.pod;
  return {
    event: `The charon of ${name} is killed`,
    kill: async () => {
      // Nothing else runs in the pod's namespace.
      const { stdout } = await node.exec(["ip", "netns", "pids", name]);
      await killProcesses(node, stdout.split("\n").filter(Boolean));
    },
    cut: [[victim, other]],
    named: /charon/,
    mended: false,
  };
}
