import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import type { PublicKey } from "../wireguard/key.ts";

/** How two nodes encrypt what is between them. */
export type Driver = "wireguard" | "ipsec";

/** What a node tells all others of itself; made by its own agent, and by nobody else. Holds no secret. */
export interface NodeRecord {
  /** RFC 1123 subdomain: no two nodes have the same. */
  readonly name: string;
  /** Grows with every change that the node's agent publishes. */
  readonly generation: number;
  /** Of the underlay. */
  readonly underlay: {
    /** Reached from the node's own network; no duplicates, the preferred ones first. */
    readonly private: readonly Address[];
    /** Reached from everywhere: addresses, or names of hosts that are resolved again when nothing comes back. */
    readonly public: readonly (Address | string)[];
  };
  /** The node's share of the mesh: where its pods are. Nobody else has any of it. */
  readonly podPrefixes: readonly Prefix[];
  /**
   * When it took its pod prefixes, in milliseconds since 1970, later than all that it knew of then: of two nodes that
   * took the same, the later one takes others. Absent: by hand, before all.
   */
  readonly since?: number;
  /** The node's own address in the mesh, one of each family at most, each within a pod prefix: what is probed. */
  readonly addresses: readonly Address[];
  /** The preferred one first; never empty. */
  readonly drivers: readonly Driver[];
  /** With the driver "wireguard". */
  readonly wireguard?: WireguardIdentity;
  /** With the driver "ipsec". */
  readonly ipsec?: IpsecIdentity;
  /** Nodes of one site reach each other by their private addresses. Absent: the one site without a name. */
  readonly site?: string;
  /** Whether the node forwards between its site and others; counts where the topology is by site. */
  readonly gateway: boolean;
  /** Behind a NAT that forgets: it sends something at least this often, in seconds. 0: never. */
  readonly keepalive: number;
  /** Of the underlay, in bytes; absent: what the node's own side of each path has. */
  readonly mtu?: number;
  /** For whoever reads it. */
  readonly labels: Readonly<Record<string, string>>;
}

/** How a node is known with WireGuard. */
export interface WireguardIdentity {
  readonly publicKey: PublicKey;
  /** UDP. */
  readonly port: number;
  /** The key that comes next: peers accept it before the node uses it. */
  readonly nextPublicKey?: PublicKey;
}

/** How a node is known with IPsec (RFC 7296, section 3.5; keys as in RFC 8420). */
export interface IpsecIdentity {
  /** IKE identity: a name of a host, or an address. */
  readonly identity: string;
  /** Raw ed25519 public key: SubjectPublicKeyInfo (RFC 8410) in base64. Absent: authenticated by a PSK or certificate. */
  readonly publicKey?: string;
  readonly nextPublicKey?: string;
}
