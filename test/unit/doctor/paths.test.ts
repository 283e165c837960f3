import { describe, expect, it, test } from "vitest";
import { checkEncryption } from "../../../src/doctor/checks/encryption.ts";
import { checkPathMtu } from "../../../src/doctor/checks/path-mtu.ts";
import { checkTunnels } from "../../../src/doctor/checks/tunnel.ts";
import { checkUnderlay } from "../../../src/doctor/checks/underlay.ts";
import type { FirewallFacts } from "../../../src/doctor/gather/firewalls.ts";
import type { PathFacts } from "../../../src/doctor/gather/paths.ts";
import { parsePing } from "../../../src/doctor/gather/ping.ts";
import { isCarried, verdictOf } from "../../../src/doctor/verdict.ts";
import { DEVICE, NOW, OBSERVED, PEER, path, prefix, route } from "./support/facts.ts";

const UNANSWERED = path().pings.map((ping) => ({ ...ping, received: 0 }));
const same = { sent: 1000, received: 2000, established: NOW - 5000 };

/** As Partial, and what is undefined is taken away. */
type Changed = { [K in keyof PathFacts]?: PathFacts[K] | undefined };

describe("the verdict on a tunnel", () => {
  test.each<[string, Changed, string]>([
    ["answers, when the counters grew by what was answered", {}, "answers"],
    ["plain, when they did not grow", { after: same }, "plain"],
    ["plain, when only one direction grew", { after: { ...same, sent: 3000 } }, "plain"],
    ["plain, when the device does not tell", { before: undefined, after: undefined }, "plain"],
    ["alive, when something came back that answers no ping", { pings: UNANSWERED }, "alive"],
    ["alive, when nothing was tried and the session is young", { pings: [], after: same }, "alive"],
    [
      "untried, when nothing was tried and the session is old",
      { pings: [], after: { ...same, established: 1 } },
      "untried",
    ],
    ["silent, when pings went out", { pings: UNANSWERED, after: { ...same, sent: 3000 } }, "silent"],
    ["silent, when pings were not even sent", { pings: UNANSWERED, after: same }, "silent"],
  ])("is %s", (_, more, verdict) => {
    const { before, after, pings = path().pings } = { ...path(), ...more };
    const changed = { device: DEVICE, peer: PEER, pings, ...(before && { before }), ...(after && { after }) };
    expect(verdictOf(changed, NOW)).toBe(verdict);
  });

  it("takes what else goes through the tunnel for nothing: a few small packets are not three pings", () => {
    expect(isCarried(path({ after: { sent: 1500, received: 2500 } }))).toBe(false);
  });
});

describe("the check of the underlay", () => {
  const firewall: FirewallFacts = {
    device: DEVICE,
    obstacles: [],
    input: [{ what: "the chain in refuses", command: "open it" }],
    output: [{ what: "the chain out refuses", command: "open that" }],
    early: [],
    sysctls: [],
    rpFilter: 0,
  };
  const check = (more: Partial<PathFacts>, firewalls: readonly FirewallFacts[] = []) =>
    checkUnderlay([path(more)], { observed: OBSERVED, firewalls, now: NOW })[0];
  const knocked = (knock: string) => ({ underlay: { ...underlay(), knock } });
  const underlay = () => path().underlay ?? expect.fail("no underlay");

  it("tells how much went in both directions", () => {
    expect(check({})).toMatchObject({ outcome: "ok", what: expect.stringContaining("1600 bytes out, 1600 in") });
  });

  it("blames a chain at input only when nothing came back", () => {
    expect(check({}, [firewall])).toMatchObject({ outcome: "ok" });
    const silent = { pings: UNANSWERED, after: { ...same, sent: 3000 } };
    expect(check(silent, [firewall])).toMatchObject({ outcome: "bad", command: "open it" });
    expect(check(silent)).toMatchObject({ outcome: "bad", remedy: expect.stringContaining("51820") });
  });

  it("opens all chains that refuse at once", () => {
    const silent = { pings: UNANSWERED, after: { ...same, sent: 3000 } };
    const two = { ...firewall, input: [...firewall.input, { what: "another refuses", command: "open all" }] };
    expect(check(silent, [two])).toMatchObject({ command: "open it && open all" });
  });

  it("takes what comes by IPsec alone for one direction, and no counters for no tunnel", () => {
    const device = { ...DEVICE, kind: "ipsec" as const };
    const ports = expect.stringContaining("UDP ports 500 and 4500");
    expect(check({ device })).toMatchObject({ outcome: "ok" });
    expect(check({ device, pings: UNANSWERED })).toMatchObject({
      outcome: "bad",
      what: expect.stringMatching(/bytes came from it, and it answers nothing/),
      remedy: ports,
    });
    const { before: _, after: __, ...without } = path({ device, pings: UNANSWERED });
    expect(checkUnderlay([without], { observed: OBSERVED, firewalls: [], now: NOW })).toMatchObject([
      { outcome: "bad", what: expect.stringContaining("there is no tunnel to it"), remedy: ports },
    ]);
  });

  it("tells a firewall of this node from a port at which nobody listens", () => {
    expect(check(knocked("EPERM"), [firewall])).toMatchObject({ outcome: "bad", command: "open that" });
    expect(check(knocked("ECONNREFUSED"))).toMatchObject({ what: expect.stringContaining("nothing listens there") });
    expect(check(knocked("EHOSTUNREACH"))).toMatchObject({ what: expect.stringContaining("(EHOSTUNREACH)") });
  });

  it("finds a route that leads into the tunnel itself", () => {
    const loop = { underlay: { ...underlay(), route: route("10.9.0.2/32", { oif: 7 }) } };
    expect(check(loop)).toMatchObject({ outcome: "bad", what: expect.stringContaining("the tunnel itself") });
  });

  it("says nothing of a peer that comes to us", () => {
    const { endpoint: _, ...peer } = PEER;
    expect(check({ peer })).toMatchObject({ outcome: "not applicable" });
  });
});

describe("the check of the path MTU", () => {
  const measured = (largest: number | undefined) => {
    const mtu = { wanted: 1480, encapsulation: "wireguard" as const, ...(largest !== undefined && { largest }) };
    return checkPathMtu([path({ underlay: { knock: "silent", mtu } })])[0];
  };

  it("gives the device what fits the path", () => {
    expect(measured(1400)).toMatchObject({ outcome: "bad", command: "ip link set podvpn0 mtu 1340" });
    expect(measured(1480)).toMatchObject({ outcome: "ok" });
  });

  it("never gives a device with IPv6 less than that needs", () => {
    const six = { ...DEVICE, record: { ...DEVICE.record, guarded: [prefix("fd00:1:2::/64")] } };
    const mtu = { wanted: 1480, largest: 1300, encapsulation: "wireguard" as const };
    const [finding] = checkPathMtu([path({ device: six, underlay: { knock: "silent", mtu } })]);
    expect(finding).toMatchObject({ outcome: "bad", remedy: expect.stringContaining("1340 bytes") });
    expect(finding).not.toHaveProperty("command");
  });

  it("knows nothing of a peer that answers no pings", () => {
    expect(measured(undefined)).toMatchObject({ outcome: "not applicable" });
  });
});

describe("the check of tunnels", () => {
  const CONTEXT = { now: NOW, firewalls: [] };
  const mend = () => ({ command: "mend it" });
  const outcomes = (more: Partial<PathFacts>) =>
    checkTunnels(
      [DEVICE],
      [path(more)].map((one) => ({ ...one, device: DEVICE })),
      CONTEXT,
      mend,
    ).map(({ outcome }) => outcome);

  it("is content with a guess that nobody has, and not with a peer's own address", () => {
    const alive = { pings: UNANSWERED };
    expect(outcomes({ ...alive, peer: { ...PEER, isSure: false } })).toEqual(["ok", "ok"]);
    expect(outcomes(alive)).toEqual(["ok", "bad"]);
    expect(outcomes({})).toEqual(["ok", "ok"]);
  });

  it("names the chain of this node that keeps answers out, and the command", () => {
    const input = [{ what: "the chain in refuses", command: "open it" }];
    const firewalls: FirewallFacts[] = [
      { device: DEVICE, obstacles: [], input, output: [], early: [], sysctls: [], rpFilter: 0 },
    ];
    const alive = { ...path({ pings: UNANSWERED }), device: DEVICE };
    expect(checkTunnels([DEVICE], [alive], { now: NOW, firewalls }, mend)[1]).toMatchObject({
      outcome: "bad",
      command: "open it",
    });
  });

  it("tells each thing that is gone of the guard, with the command", () => {
    const device = { ...DEVICE, unguarded: ["missing: one", "missing: two"] };
    expect(checkTunnels([device], [], CONTEXT, mend)).toMatchObject([
      { outcome: "bad", command: "mend it" },
      { outcome: "bad", what: expect.stringContaining("missing: two") },
    ]);
  });
});

describe("the check of encryption", () => {
  it("compares what was answered with what the device counted", () => {
    const mend = () => ({ command: "mend it" });
    expect(checkEncryption([path()], mend)).toMatchObject([{ outcome: "ok" }]);
    expect(checkEncryption([path({ after: same })], mend)).toMatchObject([
      {
        outcome: "bad",
        what: expect.stringContaining("1140 bytes were answered, and podvpn0 counted 0 bytes out"),
        command: "mend it",
      },
    ]);
    expect(checkEncryption([path({ pings: UNANSWERED })], mend)).toMatchObject([{ outcome: "not applicable" }]);
  });
});

describe("what ping(8) wrote", () => {
  test.each([
    ["3 packets transmitted, 2 received, 33% packet loss", { sent: 3, received: 2 }],
    ["3 packets transmitted, 3 packets received, 0% packet loss", { sent: 3, received: 3 }],
    ["3 packets transmitted, 0 received, +3 errors, 100% packet loss", { sent: 3, received: 0 }],
    ["ping: connect: Network is unreachable", { sent: 3, received: 0 }],
  ])("%s", (text, result) => expect(parsePing(text, 3)).toEqual(result));
});
