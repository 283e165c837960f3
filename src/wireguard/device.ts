import type { Endpoint } from "../net/endpoint.ts";
import type { Prefix } from "../net/prefix.ts";
import type { Secret } from "../secret.ts";
import type { PublicKey } from "./key.ts";

/** Where WireGuard is done: in the kernel, or by a wireguard-go of ours over a TUN device. */
export type DataPlane = "kernel" | "userspace";

/** A peer as it shall be. */
export interface Peer {
  readonly publicKey: PublicKey;
  readonly presharedKey?: Secret;
  /** Absent: unknown (a name that does not resolve), or the peer comes to us. What the device has then stays. */
  readonly endpoint?: Endpoint;
  /** In seconds; 0 is never. */
  readonly persistentKeepalive: number;
  /** No prefix belongs to two peers of a device. */
  readonly allowedIPs: readonly Prefix[];
}

/** A device as it shall be. */
export interface DeviceSettings {
  readonly privateKey: Secret;
  /** 0: any free port, and the one that it has is right. */
  readonly listenPort: number;
  /** Mark of the encrypted packets; 0 is none. */
  readonly fwmark: number;
  readonly peers: readonly Peer[];
}

/** A peer as the device has it. */
export interface PeerState extends Peer {
  /** Milliseconds since 1970; absent when there never was a handshake. */
  readonly latestHandshake?: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

/** A device as it is. */
export interface DeviceState {
  /** Absent: it has none yet. */
  readonly privateKey?: Secret;
  readonly listenPort: number;
  readonly fwmark: number;
  readonly peers: readonly PeerState[];
}

/** What is to change of a device: what is absent stays. Made by `diff`. */
export interface DeviceChange {
  readonly privateKey?: Secret;
  readonly listenPort?: number;
  readonly fwmark?: number;
  /** In this order. */
  readonly peers: readonly PeerChange[];
}

/** A peer that is made or altered (absent fields stay as they are), or removed. */
export type PeerChange =
  | {
      readonly publicKey: PublicKey;
      /** Whether the peer is made. One that is altered must be there: if it has gone meanwhile, it stays gone. */
      readonly isNew: boolean;
      /** "none" takes it away. */
      readonly presharedKey?: Secret | "none";
      readonly endpoint?: Endpoint;
      readonly persistentKeepalive?: number;
      /** Taken from the peer that has them, in one step. */
      readonly addAllowedIPs: readonly Prefix[];
    }
  | { readonly publicKey: PublicKey; readonly remove: true };

/**
 * A WireGuard device: what the kernel's and the user space's have in common, and all that the rest of podvpn knows of
 * either. Both pass test/netns/support/device-suite.ts.
 */
export interface Device extends Disposable {
  /** Of the interface as it was made: wireguard-go keeps it for its socket when the interface is renamed or moved. */
  readonly name: string;
  readonly dataPlane: DataPlane;
  /**
   * All of it; of a large device in one consistent list, however many messages it takes.
   * @param only Of its peers these alone: the others cost next to nothing. @throws Fault 102.
   */
  read(only?: ReadonlySet<PublicKey>): Promise<DeviceState>;
  /** Writes the change, in order, and nothing else. Of no effect when it is empty. @throws Fault 102. */
  apply(change: DeviceChange): Promise<void>;
}
