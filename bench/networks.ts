import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { HUB_ADDRESS, PSK, VIRTUAL_SUBNET } from "../test/netns/support/cluster.ts";

/** A peer as the configuration of `wireguard` has it. */
export interface BenchPeer {
  readonly publicKey: string;
  readonly endpoint: string;
  readonly allowedIPs: readonly string[];
}

/** How many peers "many" are. */
export const MANY_PEERS = 1000;

const PEERS_FILE = "/run/bench/peers.json";

/**
 * Peers that nobody is, each with a subnet of its own below 10.128.0.0/9: any 32 bytes are a public key. Their endpoints
 * (RFC 2544's benchmarking addresses) are never spoken to, as no pod sends.
 */
export function benchPeers(count: number, first = 0): BenchPeer[] {
  return Array.from({ length: count }, (_, index) => {
    const at = first + index;
    return {
      publicKey: randomBytes(32).toString("base64"),
      endpoint: `198.18.${at >> 8}.${at & 255}:51820`,
      allowedIPs: [`10.${128 + (at >> 8)}.${at & 255}.0/24`],
    };
  });
}

/** The networks under measurement, each with a bridge and a subnet of its own, so that none is in another's way. */
export type NetworkName = keyof typeof NETWORKS;

/** The seed's keys; ours run with `ipMasq`. */
const NETWORKS = {
  bridge: () => ({ ...onBridge(1), type: "bridge", ipMasq: false }),
  bridgeMasq: () => ({ ...onBridge(1), type: "bridge" }),
  strongswan: () => ({
    ...onBridge(0),
    type: "strongswan",
    vpn: { serverIP: HUB_ADDRESS, virtualSubnet: VIRTUAL_SUBNET, hostSubnet: "10.9.0.0/24", PSK },
  }),
  wireguard: () => ({ ...onBridge(2), type: "wireguard", wireguard: { peers: benchPeers(2) } }),
  /** Its device goes with its only pod: each ADD is the first one. */
  first: () => ({
    ...onBridge(3),
    type: "wireguard",
    wireguard: { interface: "bench3", listenPort: 51823, removeWithLastPod: true, peers: benchPeers(2, 512) },
  }),
  /** The same, so that the node has its thousand routes only while it is measured. */
  many: () => ({
    ...onBridge(4),
    type: "wireguard",
    wireguard: { interface: "bench4", listenPort: 51824, removeWithLastPod: true, peersFile: manyPeers() },
  }),
};

const configurations = new Map<NetworkName, string>();

/** The network's configuration: the same at every call. The first one of "many" writes its file of peers. */
export function configuration(network: NetworkName): string {
  const text = configurations.get(network) ?? JSON.stringify(NETWORKS[network]());
  configurations.set(network, text);
  return text;
}

function onBridge(index: number) {
  return {
    cniVersion: "1.0.0",
    name: `bench${index}`,
    bridge: `cni${index}`,
    isDefaultGateway: true,
    forceAddress: false,
    ipMasq: true,
    hairpinMode: true,
    ipam: { type: "host-local", subnet: `172.17.${index + 1}.0/24` },
  };
}

/** Apart from those of the other networks of the node: 10.132.0.0 and above. */
function manyPeers(): string {
  writeFileSync(PEERS_FILE, JSON.stringify(benchPeers(MANY_PEERS, 1024)), { mode: 0o644 });
  return PEERS_FILE;
}
