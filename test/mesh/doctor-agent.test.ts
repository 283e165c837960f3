import { afterEach, describe, expect, test } from "vitest";
import { AgentBed, meshAddress, PLAIN, podSubnet, podSubnet6 } from "../netns/support/agent-bed.ts";
import { doctor, findingOf, run } from "../netns/support/doctor.ts";
import { eventually } from "../netns/support/eventually.ts";
import { PODVPN } from "../netns/support/hub.ts";
import { installed } from "../netns/support/installed.ts";
import { Clock } from "../soak/support/clock.ts";

let bed: AgentBed;
afterEach(() => bed[Symbol.asyncDispose]());

/** Two nodes that are joined; the first one has all that is installed on a real node. */
async function start(defaults: Readonly<Record<string, unknown>> = {}): Promise<void> {
  bed = await AgentBed.create(2, defaults);
  await installed(bed.at(1));
  await bed.startAll();
}

/** Sets the clock that the agent goes by. */
const TIMEDATECTL = `#!/bin/sh
[ "$*" = "set-ntp true" ] && echo +0 >/run/testclock
`;

describe("podvpn doctor on a node with an agent", () => {
  test("has nothing bad to say, and names the peers", async () => {
    await start();
    const { bad, findings } = await doctor(bed.at(1));
    expect(bad).toEqual([]);
    const tunnels = findings.filter(({ check }) => check === "tunnel").map(({ what }) => what);
    expect(tunnels).toContainEqual(
      expect.stringMatching(/^n2: 10\.101\.2\.1 \(3 of 3\), fd00:101:2::1 \(3 of 3\) answered/),
    );
    expect(findings).toContainEqual(
      expect.objectContaining({
        check: "agent",
        outcome: "ok",
        what: expect.stringMatching(/^n1: agent .* 2 nodes in/),
      }),
    );
  });

  test("finds that no agent runs, and the command starts it", async () => {
    await start();
    await bed.stop(1);
    const finding = findingOf(await doctor(bed.at(1)), "agent", /^no agent runs/);
    expect(finding.command).toBe("systemctl start podvpn");
    await run(bed.at(1), finding);
    await bed.joined(1, 2);
    expect((await doctor(bed.at(1))).bad).toEqual([]);
  });

  test("finds a record that is refused, and the command puts it aside", async () => {
    await start();
    const file = `${bed.directory}/nodes/stranger.yaml`;
    await bed.at(1).exec(["sh", "-c", `echo 'name: [' >${file}`]);
    await bed.until(1, "it is refused", ({ registry }) => registry.refusals.length === 1);
    const finding = findingOf(await doctor(bed.at(1)), "agent", /stranger\.yaml.*it does not count/);
    expect(finding.command).toBe(`mv ${file} ${file}.refused`);
    await run(bed.at(1), finding);
    await bed.until(1, "it is gone", ({ registry }) => registry.refusals.length === 0);
    expect((await doctor(bed.at(1))).bad).toEqual([]);
  });

  test("finds a subnet that is not this node's, and the command corrects it", async () => {
    await start();
    const conf = {
      cniVersion: "1.0.0",
      name: "podnet",
      type: "wireguard",
      wireguard: { agent: true },
      isDefaultGateway: true,
      ipam: { type: "host-local", ranges: [[{ subnet: podSubnet(2) }], [{ subnet: podSubnet6(1) }]] },
    };
    const file = "/etc/cni/net.d/10-podvpn.conf";
    await bed.at(1).writeFile(file, JSON.stringify(conf));
    const finding = findingOf(
      await doctor(bed.at(1)),
      "configuration",
      /gives pods addresses of 10\.101\.2\.0\/24, and this node has/,
    );
    await run(bed.at(1), finding);
    expect(await bed.at(1).readFile(file)).toContain(`"${podSubnet(1)}"`);
    expect((await doctor(bed.at(1))).bad).toEqual([]);
  });

  test("finds a clock that is not as the peers' are, on all nodes, and the command on that node sets it", async () => {
    bed = await AgentBed.create(3);
    for (const { node } of bed.nodes) await installed(node);
    const clock = new Clock(bed.at(2), "/run/testclock");
    await clock.set(300);
    await bed.at(2).writeFile("/run/testbin/timedatectl", TIMEDATECTL, 0o755);
    for (const index of [1, 3]) bed.start(index);
    bed.startBy([PODVPN], 2, clock.env);
    await bed.joined(1, 2, 3);

    const elsewhere = findingOf(
      await doctor(bed.at(1)),
      "clock",
      /^the clock of n2 is (?:299|30\d) s ahead of this node's/,
    );
    expect(elsewhere.remedy).toBe("run on n2: timedatectl set-ntp true");
    const here = /^this node's clock is (?:299|30\d) s ahead of those of 2 of 2 peers \(n1, n3\): .*WireGuard/;
    await run(bed.at(2), findingOf(await doctor(bed.at(2)), "clock", here));
    for (const index of [1, 2]) {
      await bed.until(index, "clocks agree", ({ peers }) => {
        return peers.every(({ clockOffsetSeconds: offset = 300 }) => Math.abs(offset) < 60);
      });
      expect((await doctor(bed.at(index))).bad).toEqual([]);
    }
  });

  test("finds that iptables lets nothing in, and the command lets in what the agent needs, in the tunnel as well", async () => {
    await start();
    await bed.at(1).exec(["iptables-nft", "-P", "INPUT", "DROP"]);
    const { bad } = await doctor(bed.at(1));
    const command = bad.flatMap((finding) => finding.command ?? []).find((one) => one.includes("51820")) ?? "";
    expect(command.split(" && ").toSorted()).toEqual([
      "iptables-nft -I INPUT -i podvpn0 -p icmp -j ACCEPT",
      "iptables-nft -I INPUT -i podvpn0 -p udp --dport 7174 -j ACCEPT",
      "iptables-nft -I INPUT -p udp --dport 51820 -j ACCEPT",
    ]);
    await bed.at(1).exec(["sh", "-c", command]);
    await eventually("pings pass", 30_000, () => bed.pings(1, 2));
    await bed.until(1, "n2 answers", ({ peers }) => peers.every(({ state }) => state === "up" || state === "degraded"));
    expect((await doctor(bed.at(1))).bad).toEqual([]);
  });

  test("finds a path that loses large packets, and the command lets both sides send smaller ones", async () => {
    await start();
    await bed.testbed.setMtu(1400); // the switch loses what is larger, and says nothing
    for (const { node } of bed.nodes) await node.exec(["ip", "link", "set", "eth0", "mtu", "1500"]);
    const large = async () => {
      const argv = ["ping", "-n", "-c", "1", "-W", "1", "-M", "dont", "-s", "1372"] as const; // 1400 bytes
      return (await bed.at(1).exec([...argv, "-I", meshAddress(1), meshAddress(2)], { check: false })).code === 0;
    };
    expect(await large()).toBe(false);
    const finding = findingOf(await doctor(bed.at(1)), "path MTU", /packets of up to 1(?:39[7-9]|400) bytes pass/);
    expect(finding.command).toMatch(/^sed -i .*\$a mtu: 1(?:39[7-9]|400)' \/etc\/podvpn\/agent\.yaml$/);
    await run(bed.at(1), finding);
    await eventually("large packets pass", 20_000, large);
    expect((await doctor(bed.at(1))).bad).toEqual([]);
  });

  test("finds a foreign route, and the command takes it away: nothing was ever in plain", async () => {
    await start();
    const capture = await bed.testbed.capture();
    await bed.at(1).exec(["ip", "route", "add", "10.101.2.0/25", "via", "10.9.0.2", "dev", "eth0"]);
    await eventually("pings do not pass", 10_000, async () => !(await bed.pings(1, 2)));
    await run(bed.at(1), findingOf(await doctor(bed.at(1)), "routes", /10\.101\.2\.0\/25 via 10\.9\.0\.2 dev eth0/));
    await eventually("pings pass", 10_000, () => bed.pings(1, 2));
    expect((await doctor(bed.at(1))).bad).toEqual([]);
    await capture.sync();
    expect(await capture.packets(PLAIN)).toEqual([]);
  });
});
