import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BUILT, type Cluster, virtualIP } from "../../netns/support/cluster.ts";
import { nodeConf, nodePod, nodeSas, signalNodeCharon } from "../../netns/support/node-charon.ts";
import { PodvpnHub } from "../../netns/support/podvpn-hub.ts";

// `attach: node` at a hub that has a PSK for each identity: one charon holds them all, and must not mix them up.

const PSKS = { "one@pods": "the PSK of the first pod alone", "two@pods": "and this is the second one's" } as const;

type Identity = keyof typeof PSKS;

const fileOf = (identity: Identity) => `/etc/podvpn/${identity}.psk`;

const IDENTITIES: readonly Identity[] = ["one@pods", "two@pods"];

let cluster: Cluster<PodvpnHub>;

beforeAll(async () => {
  const identities = IDENTITIES.map((identity) => ({ identity, pskFile: fileOf(identity) }));
  const files = Object.fromEntries(IDENTITIES.map((identity) => [fileOf(identity), PSKS[identity]]));
  cluster = await PodvpnHub.cluster(1, "kernel", { pskFile: undefined, identities }, files);
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

function confOf(identity: Identity, PSK: string = PSKS[identity]) {
  return nodeConf({ vpn: { identity, PSK } });
}

describe("pods of one node, each with a PSK of its own", () => {
  test("each get in with their own, also when their charon was killed", async () => {
    const node = cluster.node(1);
    await using one = await nodePod(node, "one", confOf("one@pods"));
    await using two = await nodePod(node, "two", confOf("two@pods"));
    expect(await one.pod.ping(virtualIP(two.result))).toBe(true);
    await signalNodeCharon(node, "SIGKILL");
    await expect(one.pod.check(confOf("one@pods"), BUILT)).rejects.toMatchObject({ code: 108 });
    await one.pod.check(confOf("one@pods"), BUILT);
    await two.pod.check(confOf("two@pods"), BUILT);
    expect((await nodeSas(node)).map(({ localId }) => localId).sort()).toEqual(IDENTITIES);
    expect(await two.pod.ping(virtualIP(one.result))).toBe(true);
  });

  test("do not get in with that of another pod which the same charon has", async () => {
    const node = cluster.node(1);
    await using _one = await nodePod(node, "one", confOf("one@pods"));
    await using thief = await node.addPod("thief");
    await expect(thief.add(confOf("two@pods", PSKS["one@pods"]), BUILT)).rejects.toMatchObject({ code: 105 });
    await thief.add(confOf("two@pods"), BUILT);
    await thief.del(confOf("two@pods"), BUILT);
  });
});
