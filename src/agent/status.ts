import type { Unreachable } from "../mesh/mesh-plan.ts";
import type { Driver } from "../registry/node-record.ts";
import type { Health } from "./probe/health.ts";

// What `/v1/status` gives, as JSON: times are ISO 8601, durations seconds, sizes bytes.

/** All that an operator sees of an agent. */
export interface AgentStatus {
  readonly node: NodeStatus;
  /** Nothing stands under `problems`. */
  readonly healthy: boolean;
  /** The registry was read, the tunnels applied, and no driver fails. */
  readonly ready: boolean;
  /** What is wrong, in words. */
  readonly problems: readonly string[];
  readonly registry: RegistryStatus;
  readonly drivers: readonly DriverStatus[];
  /** In the order of their names. */
  readonly peers: readonly PeerStatus[];
  readonly unreachable: readonly Unreachable[];
  /** While this node's keys change. */
  readonly rotation?: RotationStatus;
}

/** The node itself. */
export interface NodeStatus {
  readonly name: string;
  readonly version: string;
  readonly pid: number;
  /** The agent's start. */
  readonly startedAt: string;
  readonly site?: string;
  readonly gateway: boolean;
  readonly podPrefixes: readonly string[];
  /** In the mesh. */
  readonly addresses: readonly string[];
  readonly underlay: { readonly private: readonly string[]; readonly public: readonly string[] };
  /** Base64, by driver. */
  readonly publicKeys: Partial<Readonly<Record<Driver, string>>>;
}

export interface RegistryStatus {
  /** A directory. */
  readonly where: string;
  /** Absent: it was not read yet. */
  readonly version?: string;
  /** When the version changed last. */
  readonly changedAt?: string;
  readonly nodes: number;
  /** Why it cannot be read now; what was read last goes on to count. */
  readonly error?: string;
  /** Why this node's own record is not there as it should be. */
  readonly publishError?: string;
  readonly refusals: readonly RefusalStatus[];
}

export interface RefusalStatus {
  readonly where: string;
  readonly name?: string;
  readonly what: string;
  readonly remedy: string;
  readonly kept: boolean;
}

export interface DriverStatus {
  readonly name: Driver;
  /** `unused`: it has no peers. */
  readonly state: "working" | "failing" | "unused";
  readonly dataPlane?: "kernel" | "userspace";
  readonly peers: number;
  /** Why it fails. */
  readonly error?: { readonly what: string; readonly since: string; readonly failures: number };
  /** What stands in its way although it was applied. */
  readonly obstacles: readonly string[];
  /** How often its device or daemon died and was started anew. */
  readonly restarts: number;
}

export interface PeerStatus {
  readonly name: string;
  readonly driver: Driver;
  readonly state: Health;
  /** Since when. */
  readonly since: string;
  readonly reason?: string;
  readonly prefixes: readonly string[];
  readonly device?: string;
  /** `192.0.2.1:51820`, where the peer is now. */
  readonly endpoint?: string;
  /** Smoothed. */
  readonly roundTripSeconds?: number;
  /** How far the peer's clock is ahead of this node's, to a second; negative: behind. */
  readonly clockOffsetSeconds?: number;
  /** Of the last 20 probes: 0 to 1. */
  readonly loss?: { readonly out: number; readonly in: number };
  /** The latest handshake, or when the newest SA came up. */
  readonly establishedAt?: string;
  readonly receivedBytes?: number;
  readonly sentBytes?: number;
  readonly mtu?: number;
}

export interface RotationStatus {
  readonly startedAt: string;
  /** What it waits for, in words. */
  readonly waitsFor: string;
}

/** What is wrong, of all that a status tells. Pure. */
export function problemsOf(status: Omit<AgentStatus, "problems" | "healthy" | "ready">): string[] {
  const { node, registry, drivers, peers, unreachable } = status;
  const isNowhere = node.podPrefixes.length > 0 && [...node.underlay.private, ...node.underlay.public].length === 0;
  return [
    ...(isNowhere ? ["no node can reach this one: give underlay.private, or a default route"] : []),
    ...(registry.version === undefined ? ["the registry was not read yet"] : []),
    ...(registry.error === undefined ? [] : [`registry: ${registry.error}`]),
    ...(registry.publishError === undefined ? [] : [`own record: ${registry.publishError}`]),
    ...registry.refusals.map(({ where, what }) => `${where}: ${what}`),
    ...drivers.flatMap(({ name, error }) => (error === undefined ? [] : [`${name}: ${error.what}`])),
    ...drivers.flatMap(({ name, obstacles }) => obstacles.map((obstacle) => `${name}: ${obstacle}`)),
    ...peers
      .filter(({ state }) => state === "down" || state === "degraded")
      .map(({ name, state, reason }) => `${name} is ${state}${reason === undefined ? "" : `: ${reason}`}`),
    ...unreachable.map(({ name, reason }) => `${name} cannot be reached: ${reason}`),
  ];
}
