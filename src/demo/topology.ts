/** A node of the demo. */
export interface DemoNode {
  readonly name: string;
  /** On the underlay. */
  readonly address: string;
  /** Of its pods' bridge. */
  readonly podSubnet: string;
  readonly pods: readonly string[];
}

export const UNDERLAY = "10.9.0.0/24";
/** Has the pods' subnets of all nodes. */
export const POD_SUBNETS = "172.17.0.0/16";

export const NODES: readonly DemoNode[] = [
  { name: "node-a", address: "10.9.0.1", podSubnet: "172.17.1.0/24", pods: ["a1", "a2"] },
  { name: "node-b", address: "10.9.0.2", podSubnet: "172.17.2.0/24", pods: ["b1", "b2"] },
  { name: "node-c", address: "10.9.0.3", podSubnet: "172.17.3.0/24", pods: ["c1", "c2"] },
];

/** The part of a node's network configuration that both plugins hand to the bridge plugin. Pure. */
export function bridgePart({ podSubnet }: DemoNode): Readonly<Record<string, unknown>> {
  return {
    bridge: BRIDGE,
    isDefaultGateway: true,
    ipMasq: true,
    ipam: { type: "host-local", subnet: podSubnet },
  };
}

/** Name of the network in all configurations. */
export const NETWORK = "demo";
/** The bridge of each node's pods. */
export const BRIDGE = "cni0";
