import type { AgentStatus } from "../../../../src/agent/status.ts";

export const NOW = Date.parse("2026-03-01T12:00:00Z");

/** An agent at whose peers all can be seen. */
export const STATUS: AgentStatus = {
  node: {
    name: "n1",
    version: "0.1.0",
    pid: 4711,
    startedAt: "2026-03-01T11:00:00.000Z",
    gateway: false,
    podPrefixes: ["10.101.1.0/24", "fd00:101:1::/64"],
    addresses: ["10.101.1.1", "fd00:101:1::1"],
    underlay: { private: ["10.9.0.1"], public: [] },
    publicKeys: { wireguard: "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=" },
  },
  healthy: false,
  ready: true,
  problems: ["n3 is down"],
  registry: {
    where: "/etc/podvpn/mesh",
    version: "17-abc",
    changedAt: "2026-03-01T11:30:00.000Z",
    nodes: 4,
    refusals: [
      { where: "nodes/n9.yaml:3", name: "n9", what: 'podPrefixes[0] is "x"', remedy: "correct it", kept: false },
    ],
  },
  drivers: [
    { name: "wireguard", state: "working", dataPlane: "userspace", peers: 2, obstacles: [], restarts: 1 },
    { name: "ipsec", state: "unused", peers: 0, obstacles: [], restarts: 0 },
  ],
  peers: [
    {
      name: "n2",
      driver: "wireguard",
      state: "up",
      since: "2026-03-01T11:00:01.000Z",
      prefixes: ["10.101.2.0/24"],
      device: "podvpn0",
      endpoint: "10.9.0.2:51820",
      roundTripSeconds: 0.0012,
      clockOffsetSeconds: -2,
      loss: { out: 0, in: 0.05 },
      establishedAt: "2026-03-01T11:59:00.000Z",
      receivedBytes: 1000,
      sentBytes: 2000,
      mtu: 1420,
    },
    {
      name: 'n3"\\\n',
      driver: "wireguard",
      state: "down",
      since: "2026-03-01T11:59:00.000Z",
      prefixes: ["10.101.3.0/24"],
    },
  ],
  unreachable: [{ name: "n4", reason: "no driver in common" }],
};
