import { connect } from "vici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { POD_CHILD, POD_CONNECTION } from "../../../src/ipsec/connection.ts";
import type { Pod } from "../../../src/testbed/pod.ts";
import { echo, Sender } from "../../../src/testbed/traffic.ts";
import { addedPod, BUILT, type Cluster, virtualIP } from "../../netns/support/cluster.ts";
import { eventually } from "../../netns/support/eventually.ts";
import { ipsecOf, kernelConf, overflows, routedConf, xfrmDrops } from "../../netns/support/kernel-esp.ts";
import { PodvpnHub } from "../../netns/support/podvpn-hub.ts";

/**
 * Datagrams a second of each family: few enough for a socket's buffer to hold all those of seconds without a processor,
 * which an emulated machine may have. What XFRM drops is counted beside them.
 */
const RATE = 20;

let cluster: Cluster<PodvpnHub>;
let peer: Awaited<ReturnType<typeof addedPod>>;

beforeAll(async () => {
  cluster = await PodvpnHub.cluster(2, "kernel");
  peer = await addedPod(cluster.node(2), "peer", await routedConf(cluster, cluster.node(2)));
  await echo(peer.pod);
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

/** Has the pod's charon replace its CHILD_SA or IKE_SA, and waits until only the new one is left. */
async function rekey(pod: Pod, what: { readonly child: string } | { readonly ike: string }): Promise<void> {
  const path = pod.node.path(`/run/podvpn/pods/${pod.containerID}+eth0/vici`);
  await using vici = await connect({ path, timeout: 20_000 });
  const read = async () => {
    const sas = [];
    for await (const sa of vici.listSas({ ike: POD_CONNECTION })) sas.push(sa);
    const children = sas.flatMap(({ childSas }) => childSas).filter(({ state }) => state !== "DELETED");
    return { ikes: sas.map(({ uniqueid }) => uniqueid), children: children.map(({ spiIn }) => spiIn) };
  };
  const before = await read();
  await vici.rekey(what);
  await eventually("there is one new SA", 20_000, async () => {
    const { ikes, children } = await read();
    const replaced = "ike" in what ? ikes[0] !== before.ikes[0] : children[0] !== before.children[0];
    return replaced && ikes.length === 1 && children.length === 1;
  });
}

type Drops = Awaited<ReturnType<typeof xfrmDrops>>;

const justEncrypted = ({ XfrmOutStateInvalid = 0 }: Drops) => XfrmOutStateInvalid;
const others = ({ XfrmOutStateInvalid: _, ...rest }: Drops) => rest;
const sum = (numbers: readonly number[]) => numbers.reduce((one, other) => one + other, 0);

describe.each([
  { name: "as it is", make: () => routedConf(cluster, cluster.node(1)) },
  { name: "in UDP, behind a NAT", make: async () => kernelConf() },
])("a rekey of ESP $name", ({ name, make }) => {
  test.each([
    { what: "the CHILD_SA", rekeyed: { child: POD_CHILD } },
    { what: "the IKE_SA", rekeyed: { ike: POD_CONNECTION } },
  ])("of $what loses nothing of what is sent meanwhile, thrice in a row", async ({ what, rekeyed }) => {
    const configuration = await make();
    const id = `${name} ${what}`.replaceAll(/\W/g, "");
    await using pod = await addedPod(cluster.node(1), id, configuration);
    const places = [pod.pod, peer.pod, cluster.hubNode];
    const drops = await Promise.all(places.map(xfrmDrops));
    const before = await overflows(peer.pod);
    await using four = await Sender.start(pod.pod, virtualIP(peer.result, 4), RATE);
    await using six = await Sender.start(pod.pod, virtualIP(peer.result, 6), RATE);
    for (let round = 0; round < 3; round += 1) {
      for (const sender of [four, six]) await sender.answers(20, 10_000);
      await rekey(pod.pod, rekeyed);
    }
    for (const sender of [four, six]) await sender.answers(2 * RATE, 10_000); // what was sent before has had its time
    // XfrmOutStateInvalid: one that the kernel was just encrypting when its old SA was deleted. On a machine with
    // processors of its own that takes a microsecond; an emulated one may be halted there.
    const after = await Promise.all(places.map(xfrmDrops));
    const halted = sum(after.map(justEncrypted)) - sum(drops.map(justEncrypted));
    expect(halted).toBeLessThanOrEqual(1);
    expect(after.map(others)).toEqual(drops.map(others));
    const lost = async () => {
      const counts = await Promise.all([four.counts(), six.counts()]);
      for (const { EINVAL = 0, ...errors } of counts.map(({ refused }) => refused)) {
        expect(EINVAL, "what the kernel tells a sender of such a packet").toBeLessThanOrEqual(halted);
        expect(errors).toEqual({});
      }
      return sum(counts.map((counted) => counted.lost));
    };
    await eventually("all is answered but what no socket had room for", 5000, async () => {
      return (await lost()) <= (await overflows(pod.pod)) + (await overflows(peer.pod)) - before + halted;
    });
    expect((await ipsecOf(pod.pod)).spis).toHaveLength(2);
    await pod.pod.check(configuration, BUILT);
  });
});
