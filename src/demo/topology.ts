/** A node of the demo. */
export interface DemoNode {
  readonly name: string;
  /** On the underlay, with prefix length. */
  readonly address: string;
  /** Of its pods' bridge. */
  readonly podSubnet: string;
  readonly pods: readonly string[];
}

export const UNDERLAY = "10.9.0.0/24";
export const VIRTUAL_SUBNET = "10.173.0.0/16";

export const HUB = { name: "hub", address: "10.9.0.254" } as const;

export const NODES: readonly DemoNode[] = [
  { name: "node-a", address: "10.9.0.1/24", podSubnet: "172.17.1.0/24", pods: ["a1", "a2"] },
  { name: "node-b", address: "10.9.0.2/24", podSubnet: "172.17.2.0/24", pods: ["b1", "b2"] },
  { name: "node-c", address: "10.9.0.3/24", podSubnet: "172.17.3.0/24", pods: ["c1", "c2"] },
];

/** Where every node of the demo keeps the PSK. */
export const PSK_FILE = "/etc/podvpn/psk";

/** Captured on the underlay: IKE, and ESP in UDP as user space and NAT need it, or bare as the kernel may send it. */
export const ENCRYPTED = "udp port 500 or udp port 4500 or esp";
/** Captured on the underlay, one packet of it is one too many. */
export const PLAIN = `net ${VIRTUAL_SUBNET}`;

/** The network configuration of a node, as it would stand in /etc/cni/net.d. Pure. */
export function networkConfiguration(node: DemoNode): Readonly<Record<string, unknown>> {
  return {
    cniVersion: "1.0.0",
    name: "demo",
    type: "strongswan",
    vpn: { serverIP: HUB.address, virtualSubnet: VIRTUAL_SUBNET, hostSubnet: UNDERLAY, pskFile: PSK_FILE },
    bridge: "cni0",
    isDefaultGateway: true,
    ipMasq: true,
    ipam: { type: "host-local", subnet: node.podSubnet },
  };
}
