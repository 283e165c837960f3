import type { Driver } from "../../registry/node-record.ts";
import type { NetworkConfiguration, Sort, Wire } from "../mode.ts";
import { BRIDGE, NETWORK } from "../topology.ts";

/** The prefixes out of which each node takes its share. */
export const MESH = ["10.101.0.0/16", "fd00:101::/48"] as const;

/** What a mesh of one driver has of its own. */
export interface MeshKind {
  readonly driver: Driver;
  /** How people call it. */
  readonly name: string;
  /** The CNI plugin of its pods. */
  readonly plugin: string;
  readonly wire: Wire;
  /** Of the pods of a node. @param shares The node's, of both families. Pure. */
  configuration(shares: readonly string[]): NetworkConfiguration;
}

const PLAIN = { name: `${MESH.join(", ")}`, filter: MESH.map((prefix) => `net ${prefix}`).join(" or ") };

/**
 * Links ask for neighbours, by ARP and in IPv6 by packets of the link alone (RFC 4861, RFC 3810), and a node that is not
 * there yet, or no longer, says that a tunnel's port is unreachable (RFC 792): all else counts.
 */
function other(encrypted: string): Sort {
  const link = "arp or (ip6 and (net fe80::/10 or net ff00::/8)) or (icmp[0] = 3 and icmp[1] = 3)";
  return {
    name: "else (not ARP, IPv6 neighbours, port unreachable)",
    filter: `not (${encrypted}) and not (${link})`,
  };
}

/** Both its devices: at the next port there is one while keys change. */
const PORTS = "udp portrange 51820-51821";

/** The pods come by the plugin `wireguard`, which routes them through the agent's device. */
const wireguard: MeshKind = {
  driver: "wireguard",
  name: "WireGuard",
  plugin: "wireguard",
  wire: {
    encrypted: { name: "WireGuard", filter: PORTS },
    plain: PLAIN,
    // Type 4 (whitepaper, section 5.4.6), with something in it.
    data: `${PORTS} and udp[8] = 4 and udp[4:2] > 40`,
    other: other(PORTS),
  },
  configuration: (shares) => ({
    cniVersion: "1.0.0",
    name: NETWORK,
    type: "wireguard",
    wireguard: { agent: true },
    ...bridgePart(shares),
  }),
};

/** Of any data plane: in UDP from user space and behind a NAT, else bare. */
const IKE_AND_ESP = "udp port 500 or udp port 4500 or esp";

/** The pods come by the reference plugin `bridge`, with the node's share. */
const ipsec: MeshKind = {
  driver: "ipsec",
  name: "IPsec",
  plugin: "bridge",
  wire: {
    encrypted: { name: "IKE, ESP", filter: IKE_AND_ESP },
    plain: PLAIN,
    // IKE has four bytes of zeros where ESP has its SPI (RFC 3948, section 2).
    data: "esp or (udp port 4500 and udp[8:4] != 0)",
    other: other(IKE_AND_ESP),
  },
  configuration: (shares) => ({ cniVersion: "1.0.0", name: NETWORK, type: "bridge", ...bridgePart(shares) }),
};

/** All kinds, in the order in which they are shown. */
export const kinds: readonly MeshKind[] = [wireguard, ipsec];

function bridgePart(shares: readonly string[]): NetworkConfiguration {
  return {
    bridge: BRIDGE,
    isDefaultGateway: true,
    ipam: { type: "host-local", ranges: shares.map((subnet) => [{ subnet }]) },
  };
}
