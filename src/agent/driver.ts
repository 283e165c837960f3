import type { PlannedPeer } from "../mesh/mesh-plan.ts";
import type { Address } from "../net/address.ts";
import type { Endpoint } from "../net/endpoint.ts";
import type { Prefix } from "../net/prefix.ts";
import type { Driver } from "../registry/node-record.ts";

/** A peer with the address that is to be tried now. */
export interface WantedTunnel {
  readonly peer: PlannedPeer;
  /** Absent: the peer comes to us, or none of its names can be resolved. What the tunnel has then stays. */
  readonly endpoint?: Endpoint;
  /**
   * Nothing comes through the tunnel: the endpoint is to be taken although its session is young. Without it, a tunnel
   * that is up stays where it is: who roams has said so itself.
   */
  readonly isLost?: boolean;
}

/** What a driver shall bring about: all of it, not what is new. */
export interface WantedTunnels {
  /** Peers of this driver alone. */
  readonly tunnels: readonly WantedTunnel[];
  /** What must leave this node, and be taken in, through this driver's device alone. No two drivers have one in common. */
  readonly guarded: readonly Prefix[];
  /** This node's own pods. */
  readonly podPrefixes: readonly Prefix[];
  /** This node's own addresses in the mesh. */
  readonly addresses: readonly Address[];
  /** Of the underlay, in bytes, as the configuration has it; absent: what the node's links towards the peers have. */
  readonly mtu?: number;
}

/** What an apply goes by. */
export type ApplyBasis =
  /** What there is: all of it is read. */
  | "read"
  /** What the last apply knew, where it knew it well: nobody has told of any change since, save of what is wanted. */
  | "known";

/** What was found to be different, and was written. */
export interface Applied {
  /** Names of peers whose tunnels were made, altered or removed. Empty: nothing was to be done. */
  readonly made: readonly string[];
  readonly altered: readonly string[];
  readonly removed: readonly string[];
  /** Whether the daemon or device had died, or had never been, and was started. */
  readonly started: boolean;
  /** What stands in the way although it was applied (somebody's FORWARD policy…), in words, with the remedy. */
  readonly obstacles: readonly string[];
  /**
   * Milliseconds after which to apply again, though nothing else has changed: something takes several steps (keys that
   * change), and this was not the last one.
   */
  readonly again?: number;
}

/** A tunnel as it is now. */
export interface TunnelState {
  /** The peer's. */
  readonly name: string;
  readonly device: string;
  /** As the device or daemon has it: the one that a peer roamed to. */
  readonly endpoint?: Endpoint;
  /** Milliseconds since 1970: the latest handshake, or when the newest SA came up. Absent: there is no tunnel. */
  readonly established?: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** Of the tunnel, in bytes. */
  readonly mtu: number;
}

/** What a driver's device or daemon is now. */
export interface DriverState {
  readonly dataPlane: "kernel" | "userspace";
  readonly tunnels: readonly TunnelState[];
}

/** How far a change of this node's own key is, as of the last apply. */
export interface KeyChange {
  /** Whether nothing of a change before, of whichever node, is left: only then the next one may begin. */
  readonly atRest: boolean;
  readonly peers: readonly {
    readonly name: string;
    /** Whether there is a tunnel to it at all. */
    readonly hasTunnel: boolean;
    /** Whether it has the next key, and neither side uses the current one any more. */
    readonly hasMoved: boolean;
  }[];
}

/**
 * One way to encrypt between nodes. Implementations: WireGuard, IPsec. Both pass test/netns/support/driver-suite.ts.
 * Disposing of one lets go of sockets and descriptors, and cuts nothing.
 */
export interface TunnelDriver extends AsyncDisposable {
  readonly name: Driver;
  /**
   * Reads what is there, and writes the difference: the guard first. Adopts what an agent before this one made. What is
   * right is not touched: its packets go on. @throws Fault, NetlinkError; the guard is there all the same.
   * @param basis "read" unless told. With "known" a driver may read no more than shows that what it wrote is there.
   */
  apply(wanted: WantedTunnels, basis?: ApplyBasis): Promise<Applied>;
  /** What is there now; undefined when there is no device. @throws Fault. */
  observe(): Promise<DriverState | undefined>;
  /** Settles when the device or its daemon has died since the last `apply`; never throws. Ends with `signal`. */
  died(signal: AbortSignal): Promise<"died" | "aborted">;
  /** For who changes the key; undefined before the first apply. Absent: a driver without a key. */
  keyChange?(): KeyChange | undefined;
  /** Takes all of it away, the guard last. What is gone is fine. @throws Fault. */
  remove(): Promise<void>;
}
