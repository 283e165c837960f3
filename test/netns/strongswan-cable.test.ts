import { expect, test } from "vitest";
import type { Pod } from "../../src/testbed/pod.ts";
import { BUILT, conf, VIRTUAL_SUBNET, VIRTUAL_SUBNET_6 } from "./support/cluster.ts";
import { eventually } from "./support/eventually.ts";
import { HUB_DIRECTORY } from "./support/hub.ts";
import { PodvpnHub } from "./support/podvpn-hub.ts";

/** So many of one address that a charon as it comes would ask for cookies, from 3 on. */
const PODS = 8;

const configuration = conf({
  cniVersion: "1.0.0",
  vpn: { virtualSubnet: [VIRTUAL_SUBNET, VIRTUAL_SUBNET_6], dpd: "1s" },
  ipam: { type: "host-local", ranges: [[{ subnet: "172.17.1.0/24" }], [{ subnet: "fd00:172:17:1::/64" }]] },
});

test("the pods of a node whose cable was out are all back, as the hub asks none of them for a cookie", async () => {
  await using cluster = await PodvpnHub.cluster(1, "userspace");
  const node = cluster.node();
  const pods: Pod[] = [];
  for (let number = 1; number <= PODS; number += 1) {
    const pod = await node.addPod(`p${number}`);
    await pod.add(configuration, BUILT);
    pods.push(pod);
  }
  const content = async () =>
    (await Promise.allSettled(pods.map((pod) => pod.check(configuration, BUILT)))).filter(
      ({ status }) => status === "fulfilled",
    ).length;

  await node.setUnderlay(false);
  await eventually("all have given up the hub", 30_000, async () => (await content()) === 0);
  await node.setUnderlay(true);
  await eventually("all are back", 30_000, async () => (await content()) === PODS);

  const logs = [cluster.hubNode.readFile(`${HUB_DIRECTORY}/charon.log`)];
  logs.push(...pods.map((pod) => node.readFile(`/run/podvpn/pods/${pod.containerID}+eth0/charon.log`)));
  const lines = (await Promise.all(logs)).join("\n").split("\n");
  expect(lines.filter((line) => /COOKIE|MAC mismatched/.test(line))).toEqual([]);
});
