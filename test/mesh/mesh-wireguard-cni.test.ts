import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseAddress } from "../../src/net/address.ts";
import { contains, parsePrefix } from "../../src/net/prefix.ts";
import type { Capture } from "../../src/testbed/capture.ts";
import { AgentBed, PLAIN as PLAIN_OF_AGENTS } from "../netns/support/agent-bed.ts";
import { BUILT } from "../netns/support/cluster.ts";
import { doctor } from "../netns/support/doctor.ts";
import { DriverBed } from "../netns/support/driver-bed.ts";
import type { DriverNode } from "../netns/support/driver-node.ts";
import { reaches } from "../netns/support/driver-suite.ts";
import { failure } from "../netns/support/failed-add.ts";
import { PLAIN } from "../netns/support/mesh.ts";
import { expectUnchanged } from "../netns/support/unchanged.ts";
import { shownDevice } from "../netns/support/wg.ts";
import { wireguardKind } from "../netns/support/wireguard-kind.ts";

const EXAMPLE = JSON.parse(
  readFileSync(new URL("../../conf-examples/wireguard-agent.conflist", import.meta.url), "utf8"),
);

/** With a part of the node's prefixes in which its other pod has no address. */
const IPAM = { type: "host-local", ranges: [[{ subnet: "10.1.1.128/25" }], [{ subnet: "fd00:1:1:0:1::/80" }]] };

describe('pods with conf-examples/wireguard-agent.conflist, wireguard {"agent": true}', () => {
  let bed: DriverBed;
  let capture: Capture;
  const [one, two] = [() => bed.at(1), () => bed.at(2)];

  beforeAll(async () => {
    bed = await DriverBed.create(wireguardKind("userspace"), 2);
    capture = await bed.testbed.capture(PLAIN);
  });
  afterAll(async () => {
    await capture?.[Symbol.asyncDispose]();
    await bed?.[Symbol.asyncDispose]();
  });

  /** @param cniVersion The example's unless told: STATUS and GC are of 1.1.0. */
  function conf({
    wireguard = { agent: true },
    cniVersion = "1.0.0",
  }: {
    wireguard?: object;
    cniVersion?: string;
  } = {}) {
    expect(EXAMPLE).toMatchObject({
      cniVersion: "1.0.0",
      plugins: [{ type: "wireguard", wireguard: { agent: true } }],
    });
    return { ...EXAMPLE, cniVersion, plugins: [{ ...EXAMPLE.plugins[0], wireguard, ipam: IPAM }] };
  }
  const CURRENT = { cniVersion: "1.1.0" };

  async function addedPod(node: DriverNode, name: string) {
    const pod = await node.node.addPod(name);
    const result = await pod.add(conf(), BUILT);
    return {
      pod,
      result,
      async [Symbol.asyncDispose]() {
        await pod.del(conf(), BUILT);
        await pod.remove();
      },
    };
  }

  test("have to wait until the agent has a device: ADD is to be tried again, STATUS says that it would fail", async () => {
    const pod = await one().node.addPod("early");
    const before = await one().node.snapshot();
    const error = await failure(pod.add(conf(), BUILT));
    expect(error.code).toBe(11);
    expect(error.msg).toMatch(/podvpn agent has no WireGuard device on this node.*systemctl start podvpn/);
    expect((await failure(pod.runtime(BUILT).status(conf(CURRENT)))).code).toBe(50);
    await pod.del(conf(), BUILT); // what was never added is gone already
    await expectUnchanged(
      one().node,
      before,
      /files: \/(?:run\/podvpn|var\/lib\/cni\/networks|var\/lib\/podvpn\/addons)\//,
    );
    await pod.remove();
  });

  test("reach the mesh through the agent's device, and leave its peers as they are", async () => {
    await bed.applyAll();
    await reaches(one(), two());
    const before = await shownDevice(one().node);
    {
      await using added = await addedPod(one(), "attached");
      for (const ip of two().ips) expect(await added.pod.ping(ip, 2), ip).toBe(true);
      for (const { address } of added.result.ips) {
        expect(await two().pod.ping(address.replace(/\/\d+$/, ""), 2), address).toBe(true);
      }
      const [first] = two().ips;
      const { stdout } = await added.pod.exec(["ip", "route", "get", first ?? ""]);
      expect(stdout).toContain("mtu 1420");
      await added.pod.check(conf(), BUILT);
      await added.pod.runtime(BUILT).status(conf(CURRENT));
      const { made, altered, removed, started } = await one().apply(bed.wanted(one()));
      expect({ made, altered, removed, started }).toEqual({ made: [], altered: [], removed: [], started: false });
    }
    const after = await shownDevice(one().node);
    expect([...after.peers.keys()]).toEqual([...before.peers.keys()]);
    expect(after.publicKey).toBe(before.publicKey);
    await reaches(one(), two()); // the device stays when the last pod goes
  });

  test("are not mended by CHECK: it says what is wrong, and the agent does what there is to do", async () => {
    await using added = await addedPod(one(), "checked");
    await bed.kind.kill(one().node);
    const error = await failure(added.pod.check(conf(), BUILT));
    expect(error.code).toBe(108);
    expect(error.msg).toMatch(/device podvpn0 is gone.*podvpn agent runs/);
    expect((await one().node.exec(["pgrep", "-xc", "wireguard-go"], { check: false })).stdout.trim()).toBe("0");
    const late = await one().node.addPod("late");
    expect((await failure(late.add(conf(), BUILT))).code).toBe(11);
    await late.remove();
    await one().apply(bed.wanted(one()));
    await added.pod.check(conf(), BUILT);
    expect(await added.pod.ping(two().ips[0] ?? "", 2)).toBe(true);
  });

  test("are removed by GC, and the agent's device is not", async () => {
    const pod = await one().node.addPod("forgotten");
    await pod.add(conf(CURRENT), BUILT);
    await pod.runtime(BUILT).gc(conf(CURRENT), []);
    expect((await pod.exec(["ip", "-o", "link"])).stdout).not.toContain("eth0");
    expect((await shownDevice(one().node)).peers.size).toBe(1);
    await pod.remove();
  });

  test("another network cannot have the agent's device with peers of its own", async () => {
    const pod = await one().node.addPod("thief");
    const error = await failure(pod.add(conf({ wireguard: { peers: [] } }), BUILT));
    expect(error.code).toBe(7);
    expect(error.msg).toMatch(/wireguard.interface is "podvpn0".*device of podvpn agent.*"agent": true/);
    await pod.remove();
    expect((await shownDevice(one().node)).peers.size).toBe(1);
  });

  test("and nothing of all that was plain on the underlay", async () => {
    await capture.sync();
    expect(await capture.packets(PLAIN)).toEqual([]);
  });
});

describe("pods of nodes that all have conf-examples/wireguard-agent.conflist", () => {
  let bed: AgentBed;
  beforeAll(async () => {
    bed = await AgentBed.create(2, {
      podPrefixes: undefined,
      network: ["10.101.0.0/16", "fd00:101::/48"],
      ipsPerNode: [256, "/64"],
    });
  });
  afterAll(() => bed?.[Symbol.asyncDispose]());
  const current = { ...EXAMPLE, cniVersion: "1.1.0" };

  test("wait until the agent has told the node's share", async () => {
    const pod = await bed.at(1).addPod("early");
    expect((await failure(pod.add(EXAMPLE, BUILT))).code).toBe(11);
    expect((await failure(pod.runtime(BUILT).status(current))).code).toBe(50);
    await pod.del(EXAMPLE, BUILT);
    await pod.remove();
  });

  test("get addresses of that share, reach each other by them, and give them back also without an agent", async () => {
    const capture = await bed.testbed.capture(PLAIN_OF_AGENTS);
    for (const index of [1, 2]) bed.start(index);
    await bed.joined(1, 2);
    const added = await Promise.all(
      [1, 2].map(async (index) => {
        const pod = await bed.at(index).addPod(`pod${index}`);
        const { ips } = await pod.add(EXAMPLE, BUILT);
        const shares = (await bed.status(index))?.node.podPrefixes ?? [];
        const addresses = ips.map(({ address }) => address.replace(/\/\d+$/, ""));
        expect(addresses.map((text) => shares.some((share) => holds(share, text)))).toEqual([true, true]);
        await pod.check(EXAMPLE, BUILT);
        await pod.runtime(BUILT).status(current);
        return { pod, addresses };
      }),
    );
    const [one, two] = added;
    for (const ip of two?.addresses ?? []) expect(await one?.pod.ping(ip, 2), ip).toBe(true);
    for (const ip of one?.addresses ?? []) expect(await two?.pod.ping(ip, 2), ip).toBe(true);
    expect(
      (await doctor(bed.at(1))).findings.filter(({ check, outcome }) => check === "configuration" && outcome === "bad"),
    ).toEqual([]);

    await bed.stop(1);
    expect(await bed.podvpn(1, "agent", "--leave")).toMatchObject({ code: 0 });
    await one?.pod.del(EXAMPLE, BUILT);
    const { stdout } = await bed.at(1).exec(["ls", "/var/lib/cni/networks/mesh"]);
    expect(stdout).not.toMatch(/^(?:10\.|fd00)/m);
    await two?.pod.runtime(BUILT).gc(current, []);
    const { stdout: other } = await bed.at(2).exec(["ls", "/var/lib/cni/networks/mesh"]);
    expect(other).not.toMatch(/^(?:10\.|fd00)/m);
    await capture.sync();
    expect(await capture.packets(PLAIN_OF_AGENTS)).toEqual([]);
    await capture.stop();
  });
});

function holds(share: string, text: string): boolean {
  const [prefix, address] = [parsePrefix(share), parseAddress(text)];
  return prefix !== undefined && address !== undefined && contains(prefix, address);
}
