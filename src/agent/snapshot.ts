import type { AgentConfig } from "../config/agent.ts";
import type { MeshPlan } from "../mesh/mesh-plan.ts";
import { endpointText } from "../net/endpoint.ts";
import { version } from "../programs.ts";
import type { NodeRecord } from "../registry/node-record.ts";
import type { RegistryState } from "../registry/registry.ts";
import type { PeerView } from "./peer-book.ts";
import type { ProbeReport } from "./probe/track.ts";
import { type AgentStatus, type DriverStatus, type PeerStatus, problemsOf, type RotationStatus } from "./status.ts";

/** All that a status is made of. Times are in milliseconds since 1970. */
export interface Snapshot {
  readonly config: AgentConfig;
  readonly pid: number;
  readonly startedAt: number;
  readonly ready: boolean;
  readonly own: NodeRecord | undefined;
  readonly registry: {
    readonly state: RegistryState | undefined;
    readonly changedAt: number | undefined;
    readonly error: string | undefined;
  };
  readonly publishError: string | undefined;
  readonly drivers: readonly DriverStatus[];
  readonly plan: MeshPlan | undefined;
  readonly views: readonly PeerView[];
  readonly report: (name: string) => ProbeReport | undefined;
  readonly rotation: RotationStatus | undefined;
  readonly now: number;
}

/** The status that follows. Pure. */
export function statusOf(snapshot: Snapshot): AgentStatus {
  const { config, pid, startedAt, ready, own, drivers, plan, views, report, rotation, now } = snapshot;
  const { site } = config;
  const status = {
    node: {
      name: config.name,
      version,
      pid,
      startedAt: iso(startedAt),
      ...(site === undefined ? {} : { site }),
      gateway: config.gateway,
      podPrefixes: own?.podPrefixes ?? [],
      addresses: own?.addresses ?? [],
      underlay: own?.underlay ?? { private: [], public: [] },
      publicKeys: {
        ...(own?.wireguard && { wireguard: own.wireguard.publicKey }),
        ...(own?.ipsec?.publicKey && { ipsec: own.ipsec.publicKey }),
      },
    },
    registry: registryStatus(snapshot),
    drivers,
    peers: views.map((view) => peerStatus(view, report(view.peer.name), now)),
    unreachable: plan?.unreachable ?? [],
    ...(rotation && { rotation }),
  };
  const problems = problemsOf(status);
  return { ...status, ready, healthy: ready && problems.length === 0, problems };
}

function registryStatus({ config, registry, publishError }: Snapshot): AgentStatus["registry"] {
  const { state, changedAt, error } = registry;
  const refusals = state?.refusals ?? [];
  return {
    where: config.registry.directory,
    ...(state && { version: state.version }),
    ...(changedAt !== undefined && { changedAt: iso(changedAt) }),
    nodes: state?.nodes.length ?? 0,
    ...(error !== undefined && { error }),
    ...(publishError !== undefined && { publishError }),
    refusals: refusals.map(({ where, name, what, remedy, kept }) => ({
      where,
      ...(name !== undefined && { name }),
      what,
      remedy,
      kept,
    })),
  };
}

function peerStatus(
  { peer, verdict, since, tunnel }: PeerView,
  report: ProbeReport | undefined,
  now: number,
): PeerStatus {
  const silent = report?.silent ?? [];
  const reason =
    verdict.reason ?? (silent.length === 0 ? undefined : `nothing comes back from ${silent.join(" and ")}`);
  return {
    name: peer.name,
    driver: peer.driver,
    state: verdict.state,
    since: iso(since),
    ...(reason !== undefined && { reason }),
    prefixes: peer.prefixes,
    ...(report?.roundTrip && { roundTripSeconds: rounded(report.roundTrip.smoothed / 1000) }),
    ...(report?.clock !== undefined && { clockOffsetSeconds: Math.round((report.clock - now) / 1000) }),
    ...(report?.loss && { loss: { out: rounded(report.loss.out), in: rounded(report.loss.in) } }),
    ...(tunnel && {
      device: tunnel.device,
      ...(tunnel.endpoint && { endpoint: endpointText(tunnel.endpoint) }),
      ...(tunnel.established !== undefined && { establishedAt: iso(tunnel.established) }),
      receivedBytes: tunnel.receivedBytes,
      sentBytes: tunnel.sentBytes,
      mtu: tunnel.mtu,
    }),
  };
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

/** To a microsecond. */
function rounded(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
