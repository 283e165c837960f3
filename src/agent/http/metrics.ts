import type { Health } from "../probe/health.ts";
import type { AgentStatus, PeerStatus } from "../status.ts";
import type { HistogramSample, Metric, Sample } from "./exposition.ts";

/** What is counted besides what the status tells. */
export interface Counters {
  /** Of the plan and all drivers together, in seconds. */
  readonly rounds: HistogramSample;
  /** By driver: how long an apply took, in seconds. */
  readonly applies: readonly HistogramSample[];
  /** By driver. */
  readonly applyErrors: readonly Sample[];
  readonly registryChanges: number;
}

const STATES: readonly Health[] = ["up", "degraded", "down", "unknown"];

/** All metrics of an agent. Names and units as Prometheus has them (https://prometheus.io/docs/practices/naming/). Pure. */
export function agentMetrics(status: AgentStatus, counters: Counters, now: number): Metric[] {
  return [...agent(status), ...registry(status, counters), ...drivers(status, counters), ...peers(status, now)];
}

function agent({ node, ready, rotation }: AgentStatus): Metric[] {
  return [
    gauge("podvpn_build_info", "Version of podvpn that runs; always 1.", [
      { labels: { version: node.version }, value: 1 },
    ]),
    gauge("podvpn_agent_start_time_seconds", "When the agent was started, in seconds since 1970.", [
      { value: Date.parse(node.startedAt) / 1000 },
    ]),
    gauge("podvpn_agent_ready", "Whether the registry was read, the tunnels applied, and no driver fails.", [
      { value: Number(ready) },
    ]),
    gauge("podvpn_rotation_active", "Whether the keys of this node are being changed.", [
      { value: Number(rotation !== undefined) },
    ]),
  ];
}

function registry(
  { registry: { version, nodes, refusals, changedAt, error } }: AgentStatus,
  counters: Counters,
): Metric[] {
  return [
    gauge("podvpn_registry_nodes", "Nodes that the registry has, this one included.", [{ value: nodes }]),
    gauge("podvpn_registry_refusals", "Records of the registry that are refused.", [{ value: refusals.length }]),
    gauge("podvpn_registry_up", "Whether the registry can be read.", [
      { value: Number(error === undefined && version !== undefined) },
    ]),
    counter("podvpn_registry_changes_total", "Changes of the registry that were seen.", [
      { value: counters.registryChanges },
    ]),
    gauge(
      "podvpn_registry_info",
      "Version of the registry that counts now; always 1.",
      version === undefined ? [] : [{ labels: { version }, value: 1 }],
    ),
    gauge(
      "podvpn_registry_last_change_timestamp_seconds",
      "When the registry changed last, in seconds since 1970.",
      changedAt === undefined ? [] : [{ value: Date.parse(changedAt) / 1000 }],
    ),
  ];
}

function drivers({ drivers: all }: AgentStatus, { rounds, applies, applyErrors }: Counters): Metric[] {
  const used = all.filter(({ state }) => state !== "unused");
  return [
    gauge(
      "podvpn_driver_up",
      "Whether a driver's device or daemon is as it should be.",
      used.map(({ name, state }) => ({ labels: { driver: name }, value: Number(state === "working") })),
    ),
    gauge(
      "podvpn_driver_obstacles",
      "What others have put in the way of a driver: firewalls, routes.",
      used.map(({ name, obstacles }) => ({ labels: { driver: name }, value: obstacles.length })),
    ),
    counter(
      "podvpn_driver_restarts_total",
      "How often a driver's device or daemon died and was started anew.",
      all.map(({ name, restarts }) => ({ labels: { driver: name }, value: restarts })),
    ),
    {
      name: "podvpn_round_duration_seconds",
      help: "How long it took to plan and to apply what had changed, all drivers together.",
      type: "histogram",
      samples: [rounds],
    },
    {
      name: "podvpn_apply_duration_seconds",
      help: "How long it took a driver to read what is there and to write the difference.",
      type: "histogram",
      samples: applies,
    },
    counter("podvpn_apply_errors_total", "How often a driver could not apply what it should.", applyErrors),
  ];
}

function peers({ peers: all, unreachable }: AgentStatus, now: number): Metric[] {
  const each = (read: (peer: PeerStatus) => number | undefined): Sample[] =>
    all.flatMap((peer) => {
      const value = read(peer);
      return value === undefined ? [] : [{ labels: labelsOf(peer), value }];
    });
  return [
    gauge(
      "podvpn_peers",
      "Peers by state.",
      STATES.map((state) => ({ labels: { state }, value: all.filter((peer) => peer.state === state).length })),
    ),
    gauge("podvpn_unreachable_nodes", "Nodes that no tunnel is possible to.", [{ value: unreachable.length }]),
    gauge(
      "podvpn_peer_up",
      "Whether a peer answers: 1 also where packets are lost.",
      each(({ state }) => Number(state === "up" || state === "degraded")),
    ),
    gauge(
      "podvpn_peer_degraded",
      "Whether packets are lost on the way to a peer or back.",
      each(({ state }) => Number(state === "degraded")),
    ),
    gauge(
      "podvpn_peer_round_trip_seconds",
      "Round trip through the tunnel, smoothed.",
      each((peer) => peer.roundTripSeconds),
    ),
    gauge(
      "podvpn_peer_clock_offset_seconds",
      "How far the clock of a peer is ahead of this node's, to a second.",
      each((peer) => peer.clockOffsetSeconds),
    ),
    gauge(
      "podvpn_peer_loss_ratio",
      "Share of the last 20 probes that was lost, by direction, from 0 to 1.",
      all.flatMap((peer) =>
        peer.loss === undefined
          ? []
          : (["out", "in"] as const).map((direction) => ({
              labels: { ...labelsOf(peer), direction },
              value: peer.loss?.[direction] ?? 0,
            })),
      ),
    ),
    gauge(
      "podvpn_peer_handshake_age_seconds",
      "Time since the latest handshake, or since the newest SA came up.",
      each(({ establishedAt }) =>
        establishedAt === undefined ? undefined : Math.max(0, now - Date.parse(establishedAt)) / 1000,
      ),
    ),
    counter(
      "podvpn_peer_received_bytes_total",
      "Bytes that came from a peer.",
      each((peer) => peer.receivedBytes),
    ),
    counter(
      "podvpn_peer_sent_bytes_total",
      "Bytes that went to a peer.",
      each((peer) => peer.sentBytes),
    ),
    gauge(
      "podvpn_peer_mtu_bytes",
      "The largest packet that fits into the tunnel to a peer.",
      each((peer) => peer.mtu),
    ),
  ];
}

function labelsOf({ name, driver }: PeerStatus): Readonly<Record<string, string>> {
  return { peer: name, driver };
}

function gauge(name: string, help: string, samples: readonly Sample[]): Metric {
  return { name, help, type: "gauge", samples };
}

function counter(name: string, help: string, samples: readonly Sample[]): Metric {
  return { name, help, type: "counter", samples };
}
