import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expositionText } from "../../../../src/agent/http/exposition.ts";
import { DURATION_BOUNDS, Histogram } from "../../../../src/agent/http/histogram.ts";
import { agentMetrics, type Counters } from "../../../../src/agent/http/metrics.ts";
import { promlint } from "./promlint.ts";
import { NOW, STATUS } from "./status.ts";

function counters(): Counters {
  const durations = new Histogram(DURATION_BOUNDS);
  for (const value of [0.001, 0.004, 0.02, 3, 100]) durations.observe(value);
  return {
    rounds: durations.sample({}),
    applies: [durations.sample({ driver: "wireguard" }), new Histogram(DURATION_BOUNDS).sample({ driver: "ipsec" })],
    applyErrors: [{ labels: { driver: "wireguard" }, value: 2 }],
    registryChanges: 17,
  };
}

const text = () => expositionText(agentMetrics(STATUS, counters(), NOW));

describe("the metrics of an agent", () => {
  test("are as promtool wants them", () => {
    expect(promlint(text())).toEqual([]);
  });

  test("tell what there is to know of each peer, in base units", () => {
    const lines = text().split("\n");
    expect(lines).toEqual(
      expect.arrayContaining([
        'podvpn_build_info{version="0.1.0"} 1',
        "podvpn_registry_nodes 4",
        "podvpn_registry_refusals 1",
        'podvpn_registry_info{version="17-abc"} 1',
        'podvpn_peers{state="up"} 1',
        'podvpn_peers{state="down"} 1',
        'podvpn_peers{state="degraded"} 0',
        'podvpn_peer_up{peer="n2",driver="wireguard"} 1',
        'podvpn_peer_up{peer="n3\\"\\\\\\n",driver="wireguard"} 0',
        'podvpn_peer_round_trip_seconds{peer="n2",driver="wireguard"} 0.0012',
        'podvpn_peer_clock_offset_seconds{peer="n2",driver="wireguard"} -2',
        'podvpn_peer_loss_ratio{peer="n2",driver="wireguard",direction="in"} 0.05',
        'podvpn_peer_handshake_age_seconds{peer="n2",driver="wireguard"} 60',
        'podvpn_peer_received_bytes_total{peer="n2",driver="wireguard"} 1000',
        'podvpn_peer_mtu_bytes{peer="n2",driver="wireguard"} 1420',
        'podvpn_driver_up{driver="wireguard"} 1',
        'podvpn_driver_restarts_total{driver="wireguard"} 1',
        'podvpn_apply_duration_seconds_bucket{driver="wireguard",le="0.005"} 2',
        'podvpn_apply_duration_seconds_bucket{driver="wireguard",le="+Inf"} 5',
        'podvpn_apply_duration_seconds_count{driver="wireguard"} 5',
        'podvpn_apply_errors_total{driver="wireguard"} 2',
        "podvpn_unreachable_nodes 1",
      ]),
    );
  });

  test("tell nothing of what is not known, and no address of a peer", () => {
    expect(text()).not.toContain('podvpn_peer_round_trip_seconds{peer="n3');
    expect(text()).not.toContain('podvpn_driver_up{driver="ipsec"}');
    expect(text()).not.toContain("10.9.0.2");
  });

  test("are legal for any name of a peer", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (name) => {
        const peers = STATUS.peers.slice(0, 1).map((peer) => ({ ...peer, name }));
        const lines = expositionText(agentMetrics({ ...STATUS, peers }, counters(), NOW));
        expect(promlint(lines)).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });
});

describe("the checker of these tests", () => {
  test.each([
    ["podvpn_x 1\n", "without TYPE"],
    ["# TYPE podvpn_x gauge\npodvpn_x 1\n", "no help"],
    ["# HELP podvpn_x x\n# TYPE podvpn_x counter\npodvpn_x 1\n", "without _total"],
    ["# HELP podvpn_x_total x\n# TYPE podvpn_x_total gauge\npodvpn_x_total 1\n", "no counter"],
    ["# HELP podvpn_x_milliseconds x\n# TYPE podvpn_x_milliseconds gauge\npodvpn_x_milliseconds 1\n", "base unit"],
    ["# HELP podvpn_x_ms x\n# TYPE podvpn_x_ms gauge\npodvpn_x_ms 1\n", "abbreviated"],
    ["# HELP podvpn_gauge x\n# TYPE podvpn_gauge gauge\npodvpn_gauge 1\n", "its type"],
    ["# HELP podvpn_x x\n# TYPE podvpn_x gauge\npodvpn_x 1\npodvpn_x 2\n", "twice"],
    ['# HELP podvpn_x x\n# TYPE podvpn_x gauge\npodvpn_x{a="b} 1\n', "cannot be read"],
    ["# HELP podvpn_x x\n# TYPE podvpn_x gauge\npodvpn_x one\n", "no number"],
    ["# HELP podvpn_x x\n# TYPE podvpn_x gauge\npodvpn_x 1", "no end"],
    [
      '# HELP podvpn_x x\n# TYPE podvpn_x histogram\npodvpn_x_bucket{le="1"} 2\npodvpn_x_bucket{le="+Inf"} 1\npodvpn_x_sum 1\npodvpn_x_count 1\n',
      "do not grow",
    ],
  ])("finds fault with %j", (wrong, what) => {
    expect(promlint(wrong).join("\n")).toContain(what);
  });
});
