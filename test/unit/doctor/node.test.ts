import { describe, expect, it, test } from "vitest";
import { IF_ID } from "../../../src/agent/ipsec/device.ts";
import type { AgentStatus } from "../../../src/agent/status.ts";
import { checkAgent } from "../../../src/doctor/checks/agent.ts";
import { checkClock } from "../../../src/doctor/checks/clock.ts";
import { checkConfiguration } from "../../../src/doctor/checks/configuration.ts";
import { checkEsp } from "../../../src/doctor/checks/esp.ts";
import { checkForwarding } from "../../../src/doctor/checks/forwarding.ts";
import { checkKernel } from "../../../src/doctor/checks/kernel.ts";
import { checkPrograms } from "../../../src/doctor/checks/programs.ts";
import { checkSettings } from "../../../src/doctor/checks/settings.ts";
import type { CniFile } from "../../../src/doctor/gather/cni.ts";
import type { FirewallFacts } from "../../../src/doctor/gather/firewalls.ts";
import { lackingRules, neededIn } from "../../../src/doctor/gather/local-chains.ts";
import { address, DEVICE, NOW, prefix } from "./support/facts.ts";

const outcomes = (findings: readonly { readonly outcome: string }[]) => findings.map(({ outcome }) => outcome);

describe("the check of the kernel", () => {
  const all = { wireguardGo: true, charon: true };
  const without = { release: "6.1", wireguard: "ENOTSUP", esp: "EPROTONOSUPPORT" };

  it("is content with user space, where that has its device", () => {
    const needs = { wireguard: true, ipsec: true };
    expect(outcomes(checkKernel(without, needs, all))).toEqual(["ok", "ok", "ok", "ok"]);
    expect(outcomes(checkKernel({ ...without, tun: "ENOENT" }, needs, all))).toEqual(["ok", "bad", "bad", "bad"]);
    expect(outcomes(checkKernel(without, needs, { wireguardGo: false, charon: false }))).toEqual([
      "ok",
      "ok",
      "bad",
      "bad",
    ]);
  });

  it("misses nothing that nobody needs, but nf_tables", () => {
    const facts = { ...without, tun: "ENOENT", nftables: "ENOTSUP" };
    const none = { wireguard: false, ipsec: false };
    const skipped = "not applicable";
    expect(outcomes(checkKernel(facts, none, all))).toEqual(["warning", skipped, skipped, skipped]);
    expect(outcomes(checkKernel(facts, { ...none, ipsec: true }, all))[0]).toBe("bad");
  });
});

describe("the check of programs", () => {
  const facts = {
    binDirectory: "/opt/cni/bin",
    own: [{ name: "podvpn", path: "/opt/cni/bin/podvpn" }],
    plugins: [],
    elsewhere: [{ name: "bridge" }],
    tools: [{ name: "charon-systemd" }, { name: "wireguard-go" }],
    hasApt: true,
  };
  const needs = { wireguard: true, ipsec: false, plugins: ["bridge"], userspaceWireguard: true, podvpn: "podvpn" };

  it("misses what a configuration calls, and what no kernel does instead", () => {
    const findings = checkPrograms(facts, needs).filter(({ outcome }) => outcome === "bad");
    expect(findings).toMatchObject([
      {
        what: expect.stringContaining("there is no plugin bridge"),
        command: expect.stringContaining("apt-get install"),
      },
      { what: expect.stringContaining("there is no wireguard-go"), command: "apt-get install -y wireguard-go" },
    ]);
    expect(outcomes(checkPrograms(facts, { ...needs, plugins: [], userspaceWireguard: false }))).not.toContain("bad");
  });

  it("names no package manager where it knows none", () => {
    const [finding] = checkPrograms({ ...facts, hasApt: false }, needs).filter(({ outcome }) => outcome === "bad");
    expect(finding).not.toHaveProperty("command");
    expect(finding).toHaveProperty("remedy");
  });
});

describe("the check of network configurations", () => {
  const file = (path: string, more: Partial<CniFile> = {}): CniFile => ({
    path,
    faults: [],
    types: ["bridge"],
    isPodvpns: false,
    isAgents: false,
    usesWireguard: false,
    usesIpsec: false,
    subnets: [],
    ...more,
  });
  const own = file("/etc/cni/net.d/20-podvpn.conf", {
    isPodvpns: true,
    types: ["wireguard"],
    subnets: [{ prefix: prefix("10.1.1.0/24"), text: "10.1.1.0/24" }],
  });
  const check = (files: readonly CniFile[], prefixes?: readonly string[], mesh: readonly string[] = []) =>
    checkConfiguration(
      { directory: "/etc/cni/net.d", files },
      prefixes && { own: prefixes.map(prefix), mesh: mesh.map(prefix) },
    );

  it("wants podvpn's first, unless the first one reads the others itself", () => {
    expect(check([own, file("/30")])).toMatchObject([{ outcome: "ok" }]);
    expect(check([file("/a b"), own])).toMatchObject([{ outcome: "bad", command: "mv '/a b' '/a b.disabled'" }]);
    expect(check([file("/10", { types: ["multus"] }), own])).toMatchObject([{ outcome: "ok" }]);
    expect(check([file("/10")])).toMatchObject([{ outcome: "not applicable" }]);
  });

  it("compares subnets with the agent's prefixes, and writes the right one where there is one", () => {
    expect(check([own], ["10.1.0.0/16"])).toMatchObject([{ outcome: "ok" }]);
    expect(check([own], ["10.2.0.0/24"])).toMatchObject([
      { outcome: "bad", command: `sed -i 's#"10.1.1.0/24"#"10.2.0.0/24"#' /etc/cni/net.d/20-podvpn.conf` },
    ]);
    expect(check([own], ["10.2.0.0/24", "10.3.0.0/24"])[0]).not.toHaveProperty("command");
    expect(check([own], ["fd00::/64"])[0]).not.toHaveProperty("command");
  });

  it("looks at other bridges as well where their pods have addresses of the agent's mesh", () => {
    const bridge = file("/etc/cni/net.d/prd.conf", { subnets: own.subnets });
    const mesh = ["10.1.0.0/16"];
    expect(check([bridge], ["10.1.1.0/24"], mesh)).toMatchObject([{ outcome: "ok" }]);
    expect(check([bridge, own], ["10.1.1.0/24"], mesh)).toMatchObject([{ outcome: "ok" }]);
    expect(check([bridge], ["10.1.2.0/24"], mesh)).toMatchObject([
      { outcome: "bad", command: `sed -i 's#"10.1.1.0/24"#"10.1.2.0/24"#' /etc/cni/net.d/prd.conf` },
    ]);
    expect(check([bridge], ["10.9.2.0/24"], ["10.9.0.0/16"])).toMatchObject([{ outcome: "not applicable" }]);
    expect(check([bridge, own], ["10.9.2.0/24"], ["10.9.0.0/16"])[0]).toMatchObject({
      what: expect.stringContaining("the runtime takes the first file"),
    });
  });
});

describe("the check of the agent", () => {
  const refusal = { where: "nodes/n2.yaml:3", what: "port is 0", remedy: "give a port", kept: false };
  const status = (refusals: readonly object[]) =>
    ({
      node: { name: "n1", version: "1", pid: 5 },
      registry: { where: "/etc/podvpn/mesh", version: "1", nodes: 2, refusals },
      drivers: [],
      unreachable: [],
    }) as unknown as AgentStatus; // no more of it is looked at
  const check = (refusals: readonly object[]) =>
    checkAgent({ isExpected: true, configFile: "/a", status: status(refusals) }, [])[1];

  it("puts a refused record aside, but never one whose node still counts, nor its own", () => {
    const file = "/etc/podvpn/mesh/nodes/n2.yaml";
    expect(check([refusal])).toMatchObject({ outcome: "bad", command: `mv ${file} ${file}.refused` });
    expect(check([{ ...refusal, name: "n2", kept: true }])).not.toHaveProperty("command");
    expect(check([{ ...refusal, name: "n1" }])).toMatchObject({ command: "systemctl restart podvpn" });
  });

  it("misses no agent on a node that has none", () => {
    expect(checkAgent({ isExpected: false, configFile: "/a" }, [])).toMatchObject([{ outcome: "not applicable" }]);
    expect(checkAgent({ isExpected: true, configFile: "/a" }, [])).toMatchObject([
      { command: "systemctl start podvpn" },
    ]);
  });
});

describe("the check of the clock", () => {
  test.each([
    ["1970", 1000, undefined, "bad"],
    ["nobody knows better", NOW, undefined, "ok"],
    ["a minute is nothing", NOW, NOW + 60_000, "ok"],
    ["two are", NOW, NOW + 120_000, "bad"],
  ])("%s", (_, now, at, outcome) => {
    const latest = at === undefined ? {} : { latest: { what: "x was written", at } };
    expect(outcomes(checkClock({ now, peers: [], ...latest }))).toEqual([outcome]);
  });

  const peers = (...ahead: readonly number[]) => {
    const clocks = ahead.map((seconds, index) => ({ name: `n${index + 2}`, ahead: seconds * 1000 }));
    return checkClock({ now: NOW, peers: clocks }).slice(1);
  };

  it("takes the clock of most nodes for the right one", () => {
    expect(peers()).toEqual([]);
    expect(peers(60, -60)).toMatchObject([{ outcome: "ok", what: expect.stringContaining("within 60 s") }]);
    expect(peers(61, 0, -1)).toMatchObject([
      {
        what: expect.stringMatching(/^the clock of n2 is 61 s ahead of this node's: /),
        remedy: expect.stringMatching(/^run on n2: /),
      },
    ]);
    expect(peers(61, 0, -1)[0]).not.toHaveProperty("command");
    expect(peers(-300, -301, 0)).toMatchObject([
      {
        what: expect.stringMatching(/^this node's clock is 300 s ahead of those of 2 of 3 peers \(n2, n3\): /),
        command: "timedatectl set-ntp true",
        remedy: expect.stringContaining("refuse this node's handshakes until"),
      },
    ]);
    expect(peers(300, 301)[0]).not.toHaveProperty("remedy");
  });

  it("cannot tell which one of two is wrong", () => {
    expect(peers(-300)).toMatchObject([
      { what: expect.stringContaining("300 s ahead of that of n2"), command: "timedatectl set-ntp true" },
    ]);
    expect(peers(300, -300).map(({ what }) => what)).toEqual([
      expect.stringMatching(/^the clock of n2 is 300 s ahead of this/),
      expect.stringMatching(/^the clock of n3 is 300 s behind this/),
    ]);
  });
});

describe("the checks of firewalls and settings", () => {
  const facts = (more: Partial<FirewallFacts>): FirewallFacts[] => [
    { device: DEVICE, obstacles: [], input: [], output: [], early: [], sysctls: [], rpFilter: 0, ...more },
  ];
  const ping = { pod: "p", device: "podvpn0", peer: "n2", target: address("10.1.2.1"), sent: 2, received: 2 };
  const obstacle = { what: "a chain refuses", remedy: "run `x`", command: "x" };

  it("warns only of a chain that refuses by its looks, where all pods pass", () => {
    const closed = facts({ obstacles: [obstacle] });
    expect(outcomes(checkForwarding(closed, []))).toEqual(["bad"]);
    expect(outcomes(checkForwarding(closed, [ping]))).toEqual(["warning"]);
    expect(outcomes(checkForwarding(closed, [ping, { ...ping, received: 0 }]))).toEqual(["bad"]);
    expect(outcomes(checkForwarding(closed, [{ ...ping, device: "other" }]))).toEqual(["bad"]);
  });

  it("takes rp_filter for a fault only where the strict one is in force", () => {
    const sysctls = [{ key: "net/ipv4/conf/podvpn0/rp_filter", before: "0", after: "2" }];
    expect(outcomes(checkSettings(facts({ sysctls, rpFilter: 0 })))).toEqual(["ok"]);
    expect(outcomes(checkSettings(facts({ sysctls, rpFilter: 1 })))).toEqual(["bad"]);
  });

  it("reads what iptables -S lists", () => {
    const rule = "-A INPUT -p udp -m udp --dport 51820 -j ACCEPT";
    const lacking = (listing: string, ...ports: readonly number[]) =>
      lackingRules(
        listing,
        "INPUT",
        ports.map((udpPort) => ({ udpPort })),
        4,
      );
    const ike = "-p udp --dport 500 -j ACCEPT";
    expect(lacking("-P INPUT ACCEPT", 51820)).toEqual([]);
    expect(lacking("-P INPUT DROP", 51820)).toEqual(["-p udp --dport 51820 -j ACCEPT"]);
    expect(lacking(`-P INPUT DROP\n${rule}`, 51820, 500)).toEqual([ike]);
    expect(lacking("-P INPUT ACCEPT\n-A INPUT -j REJECT --reject-with x", 500)).toEqual([ike]);
    expect(lacking("-P OUTPUT DROP", 500)).toEqual([]);
  });

  it("asks for what agents need inside of the tunnel as well", () => {
    const ipsec = { ...DEVICE, kind: "ipsec", dataPlane: "userspace", name: "ipsec0", probePort: 7174 } as const;
    const needed = neededIn(ipsec);
    const there = "-P INPUT DROP\n-A INPUT -p udp -m udp --dport 500 -j ACCEPT\n-A INPUT -i ipsec0 -p icmp -j ACCEPT";
    expect(lackingRules(there, "INPUT", needed, 4)).toEqual([
      "-p udp --dport 4500 -j ACCEPT",
      "-i ipsec0 -p udp --dport 7174 -j ACCEPT",
    ]);
    expect(lackingRules("-P OUTPUT DROP", "OUTPUT", needed, 6)).toContain("-o ipsec0 -p ipv6-icmp -j ACCEPT");
    expect(neededIn(DEVICE)).toEqual([{ udpPort: 51820 }]);
    expect(lackingRules("-P INPUT DROP", "INPUT", neededIn({ ...ipsec, dataPlane: "kernel" }), 6)).toContain(
      "-p esp -j ACCEPT",
    );
  });
});

describe("the check of ESP", () => {
  const state = { spi: 0x1234, src: address("10.9.0.1"), dst: address("10.9.0.2"), protocol: 50, reqid: 1, ifId: 7 };
  const policy = {
    direction: "out",
    src: prefix("10.1.0.0/16"),
    dst: prefix("10.2.0.0/16"),
    action: "allow",
    priority: 1,
    templates: 1,
    ifId: 7,
  } as const;

  it("finds a security association that no policy leads to, and removes that alone", () => {
    expect(outcomes(checkEsp({ states: [state], policies: [policy] }, "podvpn"))).toEqual(["ok"]);
    expect(checkEsp({ states: [state], policies: [{ ...policy, ifId: 8 }] }, "podvpn")).toMatchObject([
      { outcome: "bad", command: "ip xfrm state delete src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x00001234" },
    ]);
    expect(outcomes(checkEsp({ states: [state], policies: [{ ...policy, templates: 0 }] }, "podvpn"))).toEqual(["bad"]);
    expect(outcomes(checkEsp({ states: [], policies: [] }, "podvpn"))).toEqual(["not applicable"]);
  });

  it("finds a tunnel of the mesh without policies, though others of the same interface have theirs", () => {
    const states = [{ ...state, ifId: IF_ID }];
    const mesh = { device: "podvpn-esp0", bare: ["n2"] };
    expect(checkEsp({ states, policies: [{ ...policy, ifId: IF_ID }], mesh }, "/opt/cni/bin/podvpn")).toMatchObject([
      { outcome: "bad", command: "/opt/cni/bin/podvpn doctor --mend podvpn-esp0" },
    ]);
    expect(outcomes(checkEsp({ states, policies: [], mesh: { ...mesh, bare: [] } }, "podvpn"))).toEqual(["ok"]);
    expect(outcomes(checkEsp({ states, policies: [] }, "podvpn"))).toEqual(["bad"]); // of a charon that is dead
  });
});
