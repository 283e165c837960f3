import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { isIssues, parseRecordText, recordText } from "../../src/registry/record-text.ts";
import type { Pod } from "../../src/testbed/pod.ts";
import { AgentBed, PLAIN } from "../netns/support/agent-bed.ts";
import { Eavesdropper } from "../netns/support/cli.ts";
import { ENCRYPTED } from "../netns/support/cluster.ts";
import { type Diagnosis, doctor, findingOf, run } from "../netns/support/doctor.ts";
import { eventually } from "../netns/support/eventually.ts";
import { installed } from "../netns/support/installed.ts";

const DIRECTORY = new URL("../../conf-examples/opensvc/", import.meta.url);
const example = (name: string) => readFileSync(new URL(name, DIRECTORY), "utf8");

/** As OpenSVC finds it: named after the network, in `cni.config`. */
const NETWORK = "/etc/cni/net.d/prd.conf";

/** What OpenSVC calls the plugins by: `cni.plugins`. */
const PLUGINS = { path: ["/opt/cni/bin"] };

const ICMP = "icmp or icmp6 and (ip6[40] = 128 or ip6[40] = 129)";

let bed: AgentBed;
/** One of each node, from 1. */
const pods: Pod[] = [];
const addresses: (readonly string[])[] = [];
const NODES = [1, 2, 3] as const;

beforeAll(async () => {
  // The file of the example, but for its directory, and for names and prefixes, which are the bed's own way.
  const { registry: _, ...agent } = parse(example("agent.yaml"));
  bed = await AgentBed.create(NODES.length, { ...agent, podPrefixes: undefined });
  for (const index of NODES) {
    await installed(bed.at(index));
    await bed.at(index).writeFile(NETWORK, example("prd.conf"));
    bed.start(index); // one after the other, as an administrator does: of two that want one share the first has it
    await bed.until(index, "it has taken its share", ({ node }) => node.podPrefixes.length === 2);
  }
  await bed.joined(...NODES);
});
afterAll(() => bed?.[Symbol.asyncDispose]());

const sh = (index: number, script: string) => bed.at(index).exec(["sh", "-ec", script]);

/** The node's share, as the registry tells all others. */
function share(index: number): readonly string[] {
  const record = parseRecordText(readFileSync(bed.file(index), "utf8"));
  if (isIssues(record)) throw new Error(`n${index} has no record`);
  return record.podPrefixes;
}

/** The node's network as its file says now. */
async function network(index: number): Promise<Record<string, unknown>> {
  return JSON.parse(await bed.at(index).readFile(NETWORK));
}

/** Whether the pod of one node reaches that of another, by IPv4 and by IPv6. */
async function reached(from: number, to: number): Promise<boolean[]> {
  return await Promise.all((addresses[to - 1] ?? []).map(async (ip) => (await pods[from - 1]?.ping(ip)) === true));
}

async function expectAllReached(): Promise<void> {
  for (const from of NODES) {
    for (const to of NODES) {
      if (from === to) continue;
      await eventually(`n${from} reaches n${to}`, 60_000, async () => (await reached(from, to)).every(Boolean));
    }
  }
}

/** Nothing is plain, and ESP is there, while pods talk. */
async function expectEncrypted(): Promise<void> {
  await using capture = await bed.testbed.capture();
  expect(await reached(1, 2)).toEqual([true, true]);
  await capture.sync();
  expect(await capture.packets(`${PLAIN} or ${ICMP}`)).toEqual([]);
  expect(await capture.count(ENCRYPTED)).toBeGreaterThanOrEqual(4);
}

async function expectWell(): Promise<void> {
  await expectAllReached();
  for (const index of NODES) expect((await doctor(bed.at(index))).bad, `n${index}`).toEqual([]);
  await expectEncrypted();
}

const badOf = ({ findings }: Diagnosis, check: string) =>
  findings.filter((finding) => finding.check === check && finding.outcome === "bad");

describe("conf-examples/opensvc", () => {
  test("shows the registry that its agent.yaml leads to", async () => {
    expect(readdirSync(new URL("nodes/", DIRECTORY)).sort()).toEqual(["n1.yaml", "n2.yaml", "n3.yaml"]);
    for (const index of NODES) {
      const shown = example(`nodes/n${index}.yaml`);
      const [record, real] = [parseRecordText(shown), parseRecordText(readFileSync(bed.file(index), "utf8"))];
      if (isIssues(record) || isIssues(real)) throw new Error(`n${index}: ${JSON.stringify([record, real])}`);
      expect(recordText(record)).toBe(shown);
      const { generation, since, ipsec } = record;
      expect(ipsec?.publicKey).toHaveLength(real.ipsec?.publicKey?.length ?? 0);
      expect({ ...real, generation, since, ipsec: { ...real.ipsec, publicKey: ipsec?.publicKey } }).toEqual(record);
    }
  });

  test("has the first node's share in prd.conf; on the others podvpn doctor tells, and its commands correct it", async () => {
    expect(badOf(await doctor(bed.at(1)), "configuration")).toEqual([]);
    for (const index of [2, 3]) {
      const findings = badOf(await doctor(bed.at(index)), "configuration");
      expect(findings.map(({ what }) => what)).toEqual([
        expect.stringMatching(/prd\.conf gives pods addresses of 10\.101\.241\.0\/24, .* nobody finds these pods/),
        expect.stringMatching(/prd\.conf gives pods addresses of fd00:101:0:c8f1::\/64, .* nobody finds these pods/),
      ]);
      for (const finding of findings) await run(bed.at(index), finding);
      const ipam = { ranges: share(index).map((subnet) => [{ subnet }]) };
      expect(await network(index)).toMatchObject({ bridge: "br-prd", ipam });
    }
  });

  test("joins pods of three nodes by br-prd, over both families: ESP is seen, ICMP is not", async () => {
    for (const index of NODES) {
      const pod = await bed.at(index).addPod("pod");
      const { ips } = await pod.add(await network(index), PLUGINS);
      pods.push(pod);
      addresses.push(ips.map(({ address }) => address.replace(/\/\d+$/, "")));
      const { stdout } = await sh(index, "ip -o link show master br-prd; ip -o address show dev br-prd scope global");
      for (const [position, prefix] of share(index).entries()) {
        const gateway = prefix.replace(/(::)?\/\d+$/, "").replace(/\.0$/, "");
        expect(addresses[index - 1]?.[position]).toContain(gateway);
        expect(stdout).toContain(gateway);
      }
    }
    await using capture = await bed.testbed.capture();
    await expectAllReached();
    await capture.sync();
    expect(await capture.packets(`${PLAIN} or ${ICMP}`)).toEqual([]);
    expect(await capture.count(ENCRYPTED)).toBeGreaterThan(0);
    await expectWell();
  });

  test("can be seen to be encrypted by podvpn capture", async () => {
    await using eavesdropper = await Eavesdropper.start(bed.at(1), "--json");
    expect(await reached(1, 2)).toEqual([true, true]);
    const { how, result } = await eavesdropper.result<object>();
    expect(how).toBe("exit status 0");
    expect(result).toMatchObject({ verdict: "encrypted", plain: { packets: 0 } });
  });

  test("0 % loss, but plain on the wire: podvpn doctor finds it, and its command encrypts it", async () => {
    for (const [index, other] of [
      [1, 2],
      [2, 1],
    ] as const) {
      await bed.stop(index);
      const [prefix, prefix6] = share(other);
      // As OpenSVC routes a network of its own, and as a firewall is loaded anew.
      await sh(
        index,
        `ip route replace ${prefix} via 10.9.0.${other}; ip -6 route replace ${prefix6} via fd00:9::${other}`,
      );
      await sh(index, "nft flush ruleset");
    }
    {
      await using capture = await bed.testbed.capture();
      expect(await reached(1, 2)).toEqual([true, true]);
      await capture.sync();
      expect(await capture.count(ICMP)).toBeGreaterThan(0);
    }
    const findings = [1, 2].map(async (index) => {
      return [
        index,
        findingOf(await doctor(bed.at(index)), "encryption", /answered, and .* they went in plain/),
      ] as const;
    });
    for (const [index, finding] of await Promise.all(findings)) {
      expect(finding.command).toMatch(/^ip -4 route del .* && ip -6 route del .* && systemctl restart podvpn$/);
      await run(bed.at(index), finding);
      await bed.until(index, "the agent is ready", ({ ready }) => ready);
    }
    await expectWell();
  });

  test("100 % loss as FORWARD drops: podvpn doctor finds it, and its commands let the pods through", async () => {
    await sh(1, "iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP");
    expect(await reached(1, 2)).toEqual([false, false]);
    const findings = badOf(await doctor(bed.at(1)), "forwarding");
    expect(findings.map(({ command }) => command)).toEqual([
      expect.stringMatching(/^iptables-nft -I FORWARD /),
      expect.stringMatching(/^ip6tables-nft -I FORWARD /),
    ]);
    for (const finding of findings) await run(bed.at(1), finding);
    await expectWell();
  });

  test("100 % loss as sources are translated before the tunnel: podvpn doctor finds it, and its command keeps them", async () => {
    const [prefix] = share(1);
    await sh(
      1,
      `nft 'add table ip early; add chain ip early post { type nat hook postrouting priority -160; }; add rule ip early post ip saddr ${prefix} snat to 10.9.0.1'`,
    );
    expect(await reached(1, 2)).toEqual([false, true]);
    await run(bed.at(1), findingOf(await doctor(bed.at(1)), "source", /^the chain post of the nft table ip early/));
    await expectWell();
    await sh(1, "nft delete table ip early");
  });
});
