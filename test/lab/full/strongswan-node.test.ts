import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Node } from "../../../src/testbed/node.ts";
import type { Snapshot } from "../../../src/testbed/snapshot.ts";
import {
  BUILT,
  type Cluster,
  DIST,
  HUB_ADDRESS,
  PSK,
  VIRTUAL_SUBNET,
  VIRTUAL_SUBNET_6,
  virtualIP,
} from "../../netns/support/cluster.ts";
import { eventually } from "../../netns/support/eventually.ts";
import { FaultyPlugin, killed, SOUND } from "../../netns/support/faulty.ts";
import { ipsecOf } from "../../netns/support/kernel-esp.ts";
import { nodeConf, nodePod, nodeSas, recordOf, signalNodeCharon } from "../../netns/support/node-charon.ts";
import { HUB_VIRTUAL, PodvpnHub } from "../../netns/support/podvpn-hub.ts";
import { expectUnchanged } from "../../netns/support/unchanged.ts";

// `attach: node`: pods that come and go, at once, broken off, in chains, with several networks.

let cluster: Cluster<PodvpnHub>;
let node: Node;
let plugin: FaultyPlugin;
let empty: Snapshot;

beforeAll(async () => {
  cluster = await PodvpnHub.cluster(1, "kernel");
  node = cluster.node(1);
  plugin = await FaultyPlugin.install(node);
  const pod = await node.addPod("first");
  // The executable as well: it unpacks its addons once, for all pods of the node.
  await pod.add(nodeConf(), plugin.dyingAt(600_000));
  await pod.del(nodeConf(), SOUND);
  await pod.add(CHAIN, SOUND);
  await pod.del(CHAIN, SOUND);
  await pod.remove();
  empty = await node.snapshot();
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

const { vpn, ipam } = nodeConf();
const CHAIN = {
  cniVersion: "1.0.0",
  name: "chained",
  plugins: [
    { type: "bridge", bridge: "cni0", isDefaultGateway: true, ipMasq: true, ipam },
    { type: "strongswan", vpn },
  ],
};

/** A hub that hears nothing, until it is unmuted. */
async function mute(): Promise<void> {
  for (const line of [
    "add table inet mute",
    "add chain inet mute in { type filter hook input priority -10; }",
    "add rule inet mute in udp dport { 500, 4500 } drop",
  ]) {
    await cluster.hubNode.exec(["nft", line]);
  }
}

async function unmute(): Promise<void> {
  await cluster.hubNode.exec(["nft", "delete table inet mute"]);
}

/** The node is as without pods. host-local keeps a directory, and the last address, of each network. */
function expectNothingLeft(): Promise<void> {
  return expectUnchanged(node, empty, /networks\/(?:second|podvpn)\/(?:last_reserved_ip\.\d|lock)?$|podvpn\.log/);
}

describe("pods of one node", () => {
  test("eight at once are all added, with tunnels of their own, and leave nothing", async () => {
    const names = Array.from({ length: 8 }, (_, index) => `many${index}`);
    await using added = new AsyncDisposableStack();
    const pods = await Promise.all(names.map(async (name) => added.use(await nodePod(node, name))));
    const ips = pods.map(({ result }) => virtualIP(result));
    expect(new Set(ips).size).toBe(8);
    const ids = await Promise.all(pods.map(async ({ pod }) => (await recordOf(pod)).shared.ifId));
    expect(new Set(ids).size).toBe(8);
    expect((await nodeSas(node)).flatMap(({ localVips }) => localVips)).toEqual(expect.arrayContaining(ips));
    for (const { pod } of pods) expect(await pod.ping(HUB_VIRTUAL[4])).toBe(true);

    // All of them come back, too, when their charon was killed while the hub is silent.
    await signalNodeCharon(node, "SIGKILL");
    await mute();
    await expect(pods[0]?.pod.check(nodeConf(), BUILT)).rejects.toMatchObject({ code: 108 });
    await unmute();
    const whole = async () => {
      const checks = await Promise.allSettled(pods.map(({ pod }) => pod.check(nodeConf(), BUILT)));
      return checks.every(({ status }) => status === "fulfilled");
    };
    await eventually("CHECK finds nothing to complain of", 30_000, whole);
    expect((await ipsecOf(node)).spis).toHaveLength(2 * 8);
    for (const { pod } of pods) expect(await pod.ping(HUB_VIRTUAL[4])).toBe(true);
    added.move();
    await Promise.all(pods.map((each) => each[Symbol.asyncDispose]()));
    await expectNothingLeft();
    expect(await cluster.hub.online()).toEqual([]);
  });

  test("ask a hub that is silent four at a time, and are all added when it speaks again", async () => {
    await mute();
    const patient = nodeConf({ vpn: { timeout: "200s" } });
    const names = Array.from({ length: 6 }, (_, index) => `slow${index}`);
    const adds = Promise.all(names.map((name) => nodePod(node, name, patient)));
    adds.catch(() => undefined); // told below
    const asked = async () => (await nodeSas(node).catch(() => [])).filter(({ state }) => state === "CONNECTING");
    await eventually("four are asked for", 20_000, async () => (await asked()).length === 4);
    await eventually("all six wait", 20_000, async () => {
      const { stdout } = await node.exec(["sh", "-c", "grep -l '\"device\"' /run/podvpn/pods/*/attachment.json"]);
      return stdout.trim().split("\n").length === 6;
    });
    expect(await asked()).toHaveLength(4);
    await unmute();
    for (const each of await adds) await each[Symbol.asyncDispose]();
    await expectNothingLeft();
  });

  test("have one charon, with the keys of all of them out of their reach", async () => {
    await using one = await nodePod(node, "one");
    await using _two = await nodePod(node, "two");
    expect((await node.exec(["pgrep", "-c", "charon"])).stdout.trim()).toBe("1");
    expect((await one.pod.exec(["ip", "xfrm", "state"])).stdout).toBe("");
    expect((await node.exec(["stat", "-c", "%a %U", "/run/podvpn/charon"])).stdout.trim()).toBe("700 root");
    const { stdout } = await node.exec(["sh", "-c", "stat -c '%a' /run/podvpn/pods/*/psk"]);
    expect(stdout.trim().split("\n")).toEqual(["600", "600"]);
  });

  test("may not have one identity", async () => {
    const same = nodeConf({ vpn: { identity: "same@pods" } });
    await using _one = await nodePod(node, "same1", same);
    await using pod = await node.addPod("same2");
    await expect(pod.add(same, BUILT)).rejects.toMatchObject({
      code: 7,
      msg: expect.stringContaining('vpn.identity becomes "same@pods"'),
    });
    expect((await nodeSas(node)).length).toBe(1);
  });
});

test("a container with two networks has an XFRM interface for each", async () => {
  const first = nodeConf({ vpn: { virtualSubnet: VIRTUAL_SUBNET } });
  const second = nodeConf({ name: "second", vpn: { virtualSubnet: VIRTUAL_SUBNET_6 }, isDefaultGateway: false });
  const other = { ...BUILT, ifname: "eth1" };
  const pod = await node.addPod("twice");
  try {
    await pod.add(first, BUILT);
    await pod.add(second, other);
    const devices = [await recordOf(pod), await recordOf(pod, "eth1")].map(({ shared }) => shared.device);
    expect(devices).toEqual(["ipsec0", "ipsec1"]);
    for (const target of [HUB_VIRTUAL[4], HUB_VIRTUAL[6]]) expect(await pod.ping(target)).toBe(true);
    await pod.check(first, BUILT);
    await pod.check(second, other);
    await pod.del(second, other);
    expect(await pod.ping(HUB_VIRTUAL[4])).toBe(true);
    expect(await pod.ping(HUB_VIRTUAL[6])).toBe(false);
  } finally {
    await pod.del(second, other);
    await pod.del(first, BUILT);
    await pod.remove();
  }
  await expectNothingLeft();
});

test("behind another plugin of a chain, which makes the link: ADD, CHECK and DEL work", async () => {
  const pod = await node.addPod("chained");
  const result = await pod.add(CHAIN, BUILT);
  expect(virtualIP(result)).toMatch(/^10\.173\./);
  expect(await pod.ping(HUB_VIRTUAL[4])).toBe(true);
  await pod.check(CHAIN, BUILT);
  await pod.del(CHAIN, BUILT);
  await pod.remove();
  await expectNothingLeft();
});

test("conf-examples/strongswan-node.conflist works as it stands, with a PSK of one's own", async () => {
  const text = await readFile(new URL("../../../conf-examples/strongswan-node.conflist", import.meta.url), "utf8");
  const example = JSON.parse(text.replace("replace-this-with-a-secret-of-your-own", PSK));
  const pod = await node.addPod("example");
  const result = await pod.add(example, BUILT);
  expect(virtualIP(result)).toMatch(/^10\.173\./);
  expect(await pod.ping(HUB_VIRTUAL[4])).toBe(true);
  await pod.check(example, BUILT);
  await pod.del(example, BUILT);
  await pod.remove();
  await expectNothingLeft();
});

test("a full tunnel leads all but the node, the hub and the bridge to the hub", async () => {
  const everything = nodeConf({ vpn: { virtualSubnet: "0.0.0.0/0" } });
  const pod = await node.addPod("full");
  const result = await pod.add(everything, BUILT);
  expect((await pod.exec(["ip", "route", "get", "192.0.2.1"])).stdout).toContain("dev ipsec0");
  expect((await pod.exec(["ip", "route", "get", HUB_ADDRESS])).stdout).toContain("dev eth0");
  expect(await pod.ping(HUB_VIRTUAL[4])).toBe(true);
  expect(await node.exec(["ping", "-n", "-c", "1", "-W", "5", virtualIP(result)])).toMatchObject({ code: 0 });
  await pod.check(everything, BUILT);
  await pod.del(everything, BUILT);
  await pod.remove();
  await expectNothingLeft();
});

test("a hub on the node itself is refused, with what to do", async () => {
  await using pod = await cluster.hubNode.addPod("home");
  await expect(pod.add(nodeConf(), BUILT)).rejects.toMatchObject({
    code: 7,
    msg: expect.stringMatching(
      new RegExp(`vpn.serverIP is "${HUB_ADDRESS}", an address of this node; set vpn.attach to pod`),
    ),
  });
});

test("a PSK that is not the hub's fails the ADD, which takes all back", async () => {
  const pod = await node.addPod("stranger");
  const wrong = nodeConf({ vpn: { PSK: "not the PSK of the hub" } });
  await expect(pod.add(wrong, BUILT)).rejects.toMatchObject({ code: 105 });
  await pod.remove();
  await expectNothingLeft();
});

describe("a plugin that is killed after any of its effects", () => {
  /** Every so many effects: each round takes seconds here. */
  const STEP = Number(process.env.PODVPN_TEST_STEP ?? 6);

  test("in ADD is undone by one DEL", async () => {
    const count = await forEffects(async (effect) => {
      const pod = await node.addPod(`add${effect}`);
      const died = await killed(pod.add(nodeConf(), plugin.dying(effect)));
      await pod.del(nodeConf(), SOUND);
      await pod.remove();
      return died;
    });
    expect(count).toBeGreaterThan(30);
  });

  test("in DEL is completed by a second DEL", async () => {
    await forEffects(async (effect) => {
      const pod = await node.addPod(`del${effect}`);
      await pod.add(nodeConf(), SOUND);
      const died = await killed(pod.del(nodeConf(), plugin.dying(effect)));
      await pod.del(nodeConf(), SOUND);
      await pod.remove();
      return died;
    });
  });

  /** Effect 1, 1 + STEP, … until a call ended before it was killed. */
  async function forEffects(round: (effect: number) => Promise<boolean>): Promise<number> {
    for (let effect = 1; ; effect += STEP) {
      try {
        const died = await round(effect);
        await expectNothingLeft();
        if (!died) return effect;
      } catch (error) {
        throw new Error(`killed after effect ${effect}: ${error instanceof Error ? error.message : error}`, {
          cause: error,
        });
      }
    }
  }
});

// The last one: it takes away what the others compare with.
test("a charon whose pods have gone without DEL is ended by podvpn uninstall --force, with its SAs", async () => {
  const pod = await node.addPod("orphan");
  await pod.add(nodeConf(), BUILT);
  expect((await nodeSas(node)).length).toBe(1);
  await pod.remove();
  await node.exec(["rm", "-r", `/run/podvpn/pods/${pod.containerID}+eth0`]);
  const { stdout } = await node.exec([`${DIST}/podvpn`, "uninstall", "--bin-dir", "/run/nowhere"]);
  expect(stdout).toContain("end the node's charon");
  expect((await node.exec(["pgrep", "-c", "charon"], { check: false })).stdout.trim()).toBe("0");
  expect((await node.exec(["ip", "xfrm", "state", "count"])).stdout).toContain("SAD count 0");
  expect((await node.exec(["ip", "xfrm", "policy"])).stdout).not.toContain("if_id");
});
