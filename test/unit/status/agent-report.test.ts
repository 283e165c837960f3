import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { type AgentStatus, type PeerStatus, problemsOf } from "../../../src/agent/status.ts";
import { type AgentView, stoppedAgent } from "../../../src/status/agent.ts";
import { agentText } from "../../../src/status/agent-report.ts";
import { paintFor, plain } from "../../../src/status/paint.ts";
import { statusJson, statusText } from "../../../src/status/report.ts";
import { isHealthy } from "../../../src/status/status.ts";

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const ago = (seconds: number) => new Date(NOW - seconds * 1000).toISOString();

function peer(index: number, overrides: Partial<PeerStatus> = {}): PeerStatus {
  return {
    name: `n${index}`,
    driver: "wireguard",
    state: "up",
    since: ago(600),
    prefixes: [`10.101.${index}.0/24`],
    device: "podvpn0",
    endpoint: `10.9.0.${index}:51820`,
    roundTripSeconds: 0.00042,
    loss: { out: 0, in: 0 },
    establishedAt: ago(63),
    receivedBytes: 1_572_864,
    sentBytes: 1023 * 1024 + 900,
    mtu: 1420,
    ...overrides,
  };
}

type Facts = Omit<AgentStatus, "problems" | "healthy" | "ready">;

function running(overrides: Partial<Facts> = {}, ready = true): AgentView {
  const facts: Facts = {
    node: {
      name: "n1",
      version: "0.1.0",
      pid: 812,
      startedAt: ago(3725),
      gateway: false,
      podPrefixes: ["10.101.1.0/24", "fd00:101:1::/64"],
      addresses: ["10.101.1.1", "fd00:101:1::1"],
      underlay: { private: ["10.9.0.1", "fd00:9::1"], public: [] },
      publicKeys: {},
    },
    registry: { where: "/etc/podvpn/mesh", version: "12", changedAt: ago(301), nodes: 3, refusals: [] },
    drivers: [{ name: "wireguard", state: "working", dataPlane: "kernel", peers: 2, obstacles: [], restarts: 0 }],
    peers: [peer(2), peer(3)],
    unreachable: [],
    ...overrides,
  };
  const problems = problemsOf(facts);
  return { state: "running", status: { ...facts, ready, healthy: ready && problems.length === 0, problems } };
}

const of = (agent: AgentView) => ({ agent, attachments: [], devices: [], damage: [] });
const text = (agent: AgentView, width: number | undefined = 80) => agentText(agent, NOW, width, plain);
const tooLong = (shown: string, width = 80) => shown.split("\n").filter((line) => line.length > width);

const LONG_ENDPOINT = "[2001:db8:1234:5678:9abc:def0:1234:5678]:51820";

describe("an agent that runs", () => {
  it("is shown with its node, its registry, its drivers, and its peers in one table", () => {
    expect(text(running())).toBe(
      `node n1: podvpn 0.1.0, agent for 1h02m (pid 812)
  pods       10.101.1.0/24 fd00:101:1::/64
  address    10.101.1.1 fd00:101:1::1
  reached    10.9.0.1 fd00:9::1
  registry   /etc/podvpn/mesh: 3 nodes, version 12, changed 5m01s ago
  wireguard  working, kernel, 2 peers

PEER  ENDPOINT        STATE  LATENCY  LOSS    AGE    IN    OUT   MTU
n2    10.9.0.2:51820  up     0.42 ms   0 %  1m03s  1.5M  1023K  1420
n3    10.9.0.3:51820  up     0.42 ms   0 %  1m03s  1.5M  1023K  1420
`,
    );
  });

  it("tells what is not known of a peer yet with a dash", () => {
    const { name, driver, prefixes } = peer(2);
    const fresh: PeerStatus = { name, driver, prefixes, state: "unknown", since: ago(1) };
    expect(
      text(running({ peers: [fresh] }))
        .split("\n")
        .at(-2),
    ).toMatch(/^n2 +- +unknown +- +- +- +- +- +-$/);
  });

  it("tells of the worse direction, and of loss that rounds to none", () => {
    const lossOf = (out: number, into: number) => {
      const shown = text(running({ peers: [peer(2, { loss: { out, in: into } })] }));
      return / ms +(.*? %)/.exec(shown)?.[1];
    };
    expect(lossOf(0, 0.25)).toBe("25 %");
    expect(lossOf(1, 0)).toBe("100 %");
    expect(lossOf(0.004, 0)).toBe("<1 %");
  });

  it("tells since when a peer is bad, and why, below it alone", () => {
    const down = peer(3, { state: "down", since: ago(12), reason: "nothing comes back from 10.101.3.1" });
    const shown = text(running({ peers: [peer(2), down] }));
    expect(shown).toContain("\n  down for 12s: nothing comes back from 10.101.3.1\n");
    expect(shown.match(/nothing comes back/g)).toHaveLength(1);
  });

  it("tells all else that is wrong: refused records with their remedy, drivers, nodes out of reach", () => {
    const refusal = { where: "nodes/n5.yaml:7", name: "n5", what: 'podPrefixes is "x"', remedy: "give prefixes" };
    const shown = agentText(
      running({
        registry: { where: "/etc/podvpn/mesh", nodes: 3, error: "gone", refusals: [{ ...refusal, kept: true }] },
        drivers: [
          {
            name: "wireguard",
            state: "failing",
            peers: 2,
            error: { what: "no device", since: ago(9), failures: 3 },
            obstacles: [],
            restarts: 1,
          },
          { name: "ipsec", state: "unused", peers: 0, obstacles: [], restarts: 0 },
        ],
        unreachable: [{ name: "n9", reason: "no driver in common" }],
      }),
      NOW,
      undefined,
      plain,
    );
    expect(shown).toContain("  registry   /etc/podvpn/mesh: not read yet\n");
    expect(shown).toContain("  wireguard  failing, 2 peers, 1 restart\n  ipsec      unused\n");
    expect(shown).toContain(
      '  ! nodes/n5.yaml:7: podPrefixes is "x"; give prefixes; until then the record before it counts\n',
    );
    for (const problem of ["registry: gone", "wireguard: no device", "n9 cannot be reached: no driver in common"]) {
      expect(shown).toContain(`  ! ${problem}\n`);
    }
  });

  it("tells of a rotation, a site, a gateway, and of having no peers", () => {
    const view = running({ peers: [], rotation: { startedAt: ago(12), waitsFor: "n2 to accept the next key" } });
    const status = view.state === "running" ? view.status : undefined;
    if (status === undefined) throw new TypeError("it runs");
    const gateway = { ...status, node: { ...status.node, site: "west", gateway: true } };
    const shown = text({ state: "running", status: gateway });
    expect(shown).toMatch(/^node n1 in site west, gateway: podvpn/);
    expect(shown).toContain("\n  rotation   for 12s, waits for n2 to accept the next key\n");
    expect(shown).toMatch(/\n\nno peers\n$/);
  });
});

describe("the table of peers", () => {
  const table = (peers: readonly PeerStatus[], width?: number) =>
    text(running({ peers }), width).split("\n\n")[1] ?? "";

  it("has long endpoints of IPv6 on a line of their own, and those of IPv4 where they are", () => {
    const shown = table([peer(2), peer(3, { endpoint: LONG_ENDPOINT })]);
    expect(tooLong(shown)).toEqual([]);
    expect(shown).toMatch(/^n2 +10\.9\.0\.2:51820 +up/m);
    expect(shown).toMatch(/^n3 +up .*\n {2}\[2001:db8:1234:5678:9abc:def0:1234:5678\]:51820$/m);
  });

  it("has endpoints where they are as long as all of it fits", () => {
    const shown = table([peer(3, { endpoint: "[fd00:9::3]:51820" })]);
    expect(shown).toMatch(/^n3 +\[fd00:9::3\]:51820 +up/m);
    expect(tooLong(shown)).toEqual([]);
  });

  it("has all endpoints below when names are long, and then shortens names", () => {
    const name = "worker-17.rack-4.frankfurt.example.com";
    const shown = table([peer(2, { name }), peer(3, { endpoint: "255.255.255.255:65535", state: "degraded" })]);
    expect(shown).not.toContain("ENDPOINT");
    expect(shown).toMatch(/\n {2}255\.255\.255\.255:65535\n {2}degraded for/);
    expect(tooLong(shown)).toEqual([]);
    expect(shown).toContain("…");
    expect(table([peer(2, { name, endpoint: LONG_ENDPOINT })])).toContain(name.slice(0, 8));
  });

  it("shortens and folds nothing where there is no terminal", () => {
    const name = "worker-17.rack-4.frankfurt.example.com";
    const shown = agentText(running({ peers: [peer(2, { name, endpoint: LONG_ENDPOINT })] }), NOW, undefined, plain);
    expect(shown).toContain(`${name}  ${LONG_ENDPOINT}  up`);
  });

  it("tells of drivers where there are both", () => {
    expect(table([peer(2), peer(3)])).not.toContain("DRIVER");
    const shown = table([peer(2), peer(3, { driver: "ipsec", endpoint: LONG_ENDPOINT })]);
    expect(shown).toMatch(/^PEER .*DRIVER/);
    expect(shown).toMatch(/^n3 +ipsec +up/m);
    expect(tooLong(shown)).toEqual([]);
  });

  it("fits 80 columns whatever a peer has", () => {
    const worst = peer(250, {
      name: "a".repeat(63),
      endpoint: LONG_ENDPOINT,
      driver: "ipsec",
      state: "degraded",
      reason: "nothing comes back from fd00:101:fa::1 ".repeat(4).trim(),
      roundTripSeconds: 12.3456,
      loss: { out: 1, in: 0 },
      establishedAt: ago(86_400 * 99),
      receivedBytes: 2 ** 53 - 1,
      sentBytes: 1023 * 1024 ** 3,
      mtu: 65_456,
    });
    expect(tooLong(text(running({ peers: [worst, peer(2)] })))).toEqual([]);
  });
});

describe("colours", () => {
  const paint = paintFor(true, { TERM: "xterm" });

  it("are for states, and change nothing of the text", () => {
    const view = running({ peers: [peer(2), peer(3, { state: "down", reason: "x" })] });
    const coloured = statusText(of(view), NOW, 80, paint);
    expect(coloured).toContain("\u001b[32mup\u001b[0m");
    expect(coloured).toContain("\u001b[31mdown\u001b[0m");
    expect(coloured).toContain("\u001b[32mworking\u001b[0m");
    expect(coloured).toContain("\u001b[31mNOT HEALTHY: 1 of 2 peers\u001b[0m\n");
    expect(stripVTControlCharacters(coloured)).toBe(statusText(of(view), NOW, 80));
  });

  it("are only on a terminal, and not for who wants none", () => {
    for (const [isTerminal, env] of [
      [false, { TERM: "xterm" }],
      [true, { TERM: "xterm", NO_COLOR: "1" }],
      [true, { TERM: "dumb" }],
    ] as const) {
      expect(paintFor(isTerminal, env)("up")).toBe("up");
    }
    expect(paintFor(true, { NO_COLOR: "" })("up")).not.toBe("up"); // no-color.org: when it is not empty
  });
});

describe("a node with an agent", () => {
  it("is healthy when its agent is, and its pods", () => {
    expect(isHealthy(of(running()))).toBe(true);
    expect(statusText(of(running()), NOW, 80)).toMatch(/\nhealthy\n$/);
    expect(isHealthy(of(running({ peers: [peer(2, { state: "degraded" })] })))).toBe(false);
    expect(isHealthy({ ...of(running()), damage: ["x"] })).toBe(false);
  });

  it("says in its last line what is not well", () => {
    const last = (view: AgentView) => statusText(of(view), NOW, 80).trimEnd().split("\n").at(-1);
    expect(last(running({}, false))).toBe("NOT HEALTHY: the agent is not ready");
    const refusal = { where: "nodes/n5.yaml", what: "x", remedy: "y", kept: false };
    const registry = { where: "/r", version: "1", nodes: 3, publishError: "full", refusals: [refusal, refusal] };
    const peers = [peer(2), peer(3, { state: "down" })];
    expect(last(running({ registry, peers, unreachable: [{ name: "n9", reason: "z" }] }))).toBe(
      "NOT HEALTHY: 1 of 2 peers, 1 node out of reach, 2 refused records, 1 problem of the agent",
    );
  });

  it("is told of when the agent does not run, with the command that starts it", () => {
    expect(stoppedAgent(false, undefined)).toBeUndefined();
    for (const [view, what] of [
      [stoppedAgent(true, undefined), "/etc/podvpn/agent.yaml"],
      [stoppedAgent(false, "podvpn0"), "its device podvpn0"],
    ] as const) {
      if (view === undefined) throw new TypeError("there is a trace of an agent");
      expect(isHealthy(of(view))).toBe(false);
      const shown = statusText(of(view), NOW, 80);
      expect(shown.replaceAll(/\s+/g, " ")).toContain(what);
      expect(shown).toMatch(/^agent stopped: no agent runs on this node/);
      expect(shown).toContain("systemctl");
      expect(shown).toMatch(/\nNOT HEALTHY: the agent\n$/);
      expect(tooLong(shown)).toEqual([]);
    }
    const silent: AgentView = { state: "silent", problem: "does not answer (ETIMEDOUT)" };
    expect(statusText(of(silent), NOW, 80)).toMatch(/^agent silent: does not answer \(ETIMEDOUT\)\n/);
  });

  it("gives programs all that the agent tells, under agent, and nothing where there is none", () => {
    const view = running();
    const object = JSON.parse(statusJson(of(view), NOW));
    expect(object).toMatchObject({ healthy: true, agent: { state: "running", node: { name: "n1" } } });
    expect(object.agent).toEqual({ state: "running", ...(view.state === "running" ? view.status : {}) });
    const stopped = stoppedAgent(true, undefined);
    expect(JSON.parse(statusJson(of(stopped ?? view), NOW))).toMatchObject({
      healthy: false,
      agent: { state: "stopped", problem: expect.stringContaining("no agent runs") },
    });
    expect(Object.keys(JSON.parse(statusJson({ attachments: [], devices: [], damage: [] }, NOW)))).toEqual([
      "healthy",
      "attachments",
      "devices",
      "damage",
    ]);
  });
});
