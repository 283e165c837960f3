import { connect } from "vici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Check } from "../../../src/doctor/finding.ts";
import { AgentBed } from "../../netns/support/agent-bed.ts";
import { doctor, findingOf, run } from "../../netns/support/doctor.ts";
import { eventually } from "../../netns/support/eventually.ts";
import { installed } from "../../netns/support/installed.ts";
import { MESH_CHARON } from "../../netns/support/ipsec-kind.ts";

let bed: AgentBed;
beforeAll(async () => {
  bed = await AgentBed.create(2, { drivers: ["ipsec"] });
  for (const { node, index } of bed.nodes) {
    await installed(node);
    // One way from node to node: an agent that loses it would else take the other.
    await bed.configure(index, { underlay: { private: [`10.9.0.${index}`] } });
  }
  await bed.startAll();
});
afterAll(() => bed?.[Symbol.asyncDispose]());

const sh = async (index: number, script: string) => void (await bed.at(index).exec(["sh", "-ec", script]));

/** Both families pass, and the doctor finds nothing bad on either node. */
async function expectWell(): Promise<void> {
  await eventually("pings pass", 60_000, () => bed.pings(1, 2));
  for (const index of [1, 2]) {
    await bed.until(index, "its agent is ready", ({ ready }) => ready);
    expect((await doctor(bed.at(index))).bad, `n${index}`).toEqual([]);
  }
}

/** Takes the tunnel away, and what would make it anew: of the agent's alone. */
async function unload(index: number): Promise<void> {
  await bed.stop(index);
  await using vici = await connect({ path: bed.at(index).path(`${MESH_CHARON}/vici`), timeout: 10_000 });
  for (const name of await vici.getConns()) await vici.unloadConn(name);
  for await (const { uniqueid } of vici.listSas())
    await vici.terminate({ ikeId: uniqueid, force: true, timeout: 1000 });
}

/** A fault of n1, and what is expected of the doctor there. */
interface Fault {
  readonly name: string;
  breaks(): Promise<void>;
  readonly check: Check;
  readonly what: RegExp;
  readonly command: RegExp;
  /** Takes away what the remedy leaves of the fault. */
  readonly after?: string;
}

const OPEN_FOR_IKE =
  /^iptables-nft -I INPUT -p udp --dport 500 -j ACCEPT && iptables-nft -I INPUT -p udp --dport 4500 -j ACCEPT && /;

const FAULTS: readonly Fault[] = [
  {
    name: "iptables lets nothing in",
    breaks: () => sh(1, "iptables-nft -P INPUT DROP"),
    check: "underlay",
    what: /^n2 at 10\.9\.0\.2:500: .*; the chain INPUT of iptables-nft refuses/,
    command: OPEN_FOR_IKE,
    after: "iptables-nft -P INPUT ACCEPT; iptables-nft -F INPUT",
  },
  {
    name: "an nft chain lets nothing in",
    breaks: () =>
      sh(1, "nft 'add table ip fw; add chain ip fw in { type filter hook input priority 0; policy drop; }'"),
    check: "underlay",
    what: /^n2 at 10\.9\.0\.2:500: .*; the chain in of the nft table ip fw refuses/,
    command: /^nft 'insert rule ip fw in udp dport 500 accept; insert rule ip fw in udp dport 4500 accept; /,
    after: "nft delete table ip fw",
  },
  {
    name: "an nft chain lets nothing out",
    breaks: () =>
      sh(1, "nft 'add table ip fw; add chain ip fw out { type filter hook output priority 0; policy drop; }'"),
    check: "underlay",
    what: /^n2 at 10\.9\.0\.2:500: a firewall of this node does not let packets out to it \(EPERM\); the chain out/,
    command: /^nft 'insert rule ip fw out udp dport 500 accept; insert rule ip fw out udp dport 4500 accept; /,
    after: "nft delete table ip fw",
  },
  {
    name: "the tunnel is gone, and no agent makes it anew",
    breaks: () => unload(1),
    check: "agent",
    what: /^no agent runs/,
    command: /^systemctl start podvpn$/,
  },
  {
    name: "charon is gone, and no agent starts it",
    breaks: async () => {
      await bed.stop(1);
      await sh(1, "pkill -KILL -x charon-systemd");
      await eventually("its device is gone", 10_000, async () => {
        return (await bed.at(1).exec(["ip", "link", "show", "ipsec0"], { check: false })).code !== 0;
      });
    },
    check: "tunnel",
    what: /^ipsec0: there is no interface ipsec0$/,
    command: /^systemctl restart podvpn$/,
  },
  {
    name: "the guard is gone, and no agent is there",
    breaks: async () => {
      await bed.stop(1);
      await sh(1, "nft delete table inet podvpn-mesh-podvpn-esp0");
    },
    check: "tunnel",
    what: /^ipsec0: missing: nft table inet podvpn-mesh-podvpn-esp0: packets for the mesh may leave in plain$/,
    command: /^systemctl restart podvpn$/,
  },
];

describe("podvpn doctor on nodes with IPsec", () => {
  test("has nothing bad to say, and tells what went through the tunnel, and how", async () => {
    await expectWell();
    const { findings } = await doctor(bed.at(1));
    const whats = (check: Check) => findings.filter((finding) => finding.check === check).map(({ what }) => what);
    expect(whats("tunnel")).toEqual([
      expect.stringMatching(/^ipsec0: IPsec in user space, MTU \d+; \d prefixes are guarded$/),
      expect.stringMatching(/^n2: 10\.101\.2\.1 \(3 of 3\), fd00:101:2::1 \(3 of 3\) answered; latest session /),
    ]);
    expect(whats("underlay")).toEqual([expect.stringMatching(/^n2 at 10\.9\.0\.2:500: UDP passes in both directions/)]);
    expect(whats("encryption")).toEqual([expect.stringMatching(/^n2: of 2280 bytes .* ipsec0 counted \d+ bytes out/)]);
  });

  test.each(FAULTS)("finds that $name, and the command mends it", async ({ breaks, check, what, command, after }) => {
    await using cleanup = new AsyncDisposableStack();
    cleanup.defer(() => sh(1, after ?? "true"));
    await breaks();
    const diagnosis = await doctor(bed.at(1));
    expect(diagnosis).toMatchObject({ healthy: false, code: 1 });
    const finding = findingOf(diagnosis, check, what);
    expect(finding.command).toMatch(command);
    await run(bed.at(1), finding);
    await expectWell();
  });

  test("tells that there is no tunnel, and to which ports it should be", async () => {
    await unload(1);
    const { remedy } = findingOf(
      await doctor(bed.at(1)),
      "underlay",
      /^n2 at 10\.9\.0\.2:500: there is no tunnel to it$/,
    );
    expect(remedy).toMatch(/podvpn doctor. on n2 too; let UDP ports 500 and 4500 through/);
    await sh(1, "systemctl start podvpn");
    await expectWell();
  });

  test("finds ports that are filtered at the other end, one way, and where to look; there the command opens them", async () => {
    await sh(2, "iptables-nft -P INPUT DROP");
    const here = findingOf(await doctor(bed.at(1)), "underlay", /^n2 at 10\.9\.0\.2:500: /);
    expect(here.remedy).toMatch(/podvpn doctor. on n2 too; let UDP ports 500 and 4500 through/);
    const there = (await doctor(bed.at(2))).bad.find(({ command }) => OPEN_FOR_IKE.test(command ?? ""));
    expect(there?.what).toMatch(/the chain INPUT of iptables-nft refuses/);
    await sh(2, there?.command ?? "false");
    await expectWell();
    await sh(2, "iptables-nft -P INPUT ACCEPT; iptables-nft -F INPUT");
  });
});
