import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import { StockHub } from "../../src/testbed/stock-hub.ts";
import { ECHO_PORT, echo, Sender } from "../../src/testbed/traffic.ts";
import {
  addedPod,
  BUILT,
  Cluster,
  conf,
  PLAIN,
  PSK,
  VIRTUAL_SUBNET,
  VIRTUAL_SUBNET_6,
  virtualIP,
} from "./support/cluster.ts";
import { eventually } from "./support/eventually.ts";
import { failure } from "./support/failed-add.ts";

let cluster: Cluster;
let node: Node;

beforeAll(async () => {
  cluster = await Cluster.create(2);
  node = cluster.node(1);
});
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

const dual = {
  vpn: { virtualSubnet: [VIRTUAL_SUBNET, VIRTUAL_SUBNET_6] },
  ipam: { type: "host-local", ranges: [[{ subnet: "172.17.1.0/24" }], [{ subnet: "fd00:172:17:1::/64" }]] },
};

describe("a node", () => {
  test("reaches its own pods at their virtual IPs of both families, and as long as they are there", async () => {
    await using pod = await addedPod(node, "probed", conf(dual));
    for (const address of [pod.ip, virtualIP(pod.result, 6)]) {
      expect((await node.exec(["ping", "-n", "-c", "2", "-i", "0.1", "-W", "1", address], { check: false })).code).toBe(
        0,
      );
      await pod.pod.del(conf(dual), BUILT);
      await pod.pod.add(conf(dual), BUILT);
    }
  });

  test("sends nothing to other virtual IPs in plain, and says so at once", async () => {
    await using _pod = await addedPod(node, "own", conf(dual));
    await using other = await addedPod(cluster.node(2), "other", conf(dual));
    await using capture = await cluster.testbed.capture();
    for (const address of [other.ip, virtualIP(other.result, 6), "10.173.200.200", "fd00:173::2:0"]) {
      const { code, stderr, stdout } = await node.exec(["ping", "-n", "-c", "2", "-i", "0.1", "-W", "1", address], {
        check: false,
      });
      expect(code).not.toBe(0);
      expect(`${stdout}${stderr}`).toMatch(/unreachable|No route to host/i);
    }
    await capture.sync();
    expect(await capture.packets(PLAIN)).toEqual([]);
  });
});

describe("two interfaces of one container", () => {
  const SECOND = { address: "10.9.0.253", own: "10.174.255.254" };
  const second = conf({
    name: "second",
    bridge: "cni1",
    isDefaultGateway: false,
    isGateway: true,
    vpn: { serverIP: SECOND.address, virtualSubnet: "10.174.0.0/16" },
    ipam: { type: "host-local", subnet: "172.18.1.0/24", routes: [{ dst: `${SECOND.address}/32` }] },
  });
  const ETH0 = { configuration: conf(), options: BUILT, reaches: "10.173.255.254" };
  const NET1 = { configuration: second, options: { ...BUILT, ifname: "net1" }, reaches: SECOND.own };

  beforeAll(async () => {
    const hub = await cluster.testbed.node("hub2", { addresses: [`${SECOND.address}/24`] });
    await StockHub.start(hub, { psk: PSK, edit: (text) => text.replaceAll("10.173.", "10.174.") });
    await hub.exec(["ip", "address", "add", `${SECOND.own}/32`, "dev", "lo"]);
  });

  test.each([
    { name: "the DEL of the first leaves the second", gone: ETH0, stays: NET1 },
    { name: "the DEL of the second leaves the first", gone: NET1, stays: ETH0 },
  ])("have a tunnel each, and $name", async ({ gone, stays }) => {
    await using pod = await node.addPod("two");
    for (const { configuration, options } of [ETH0, NET1]) await pod.add(configuration, options);
    for (const { reaches } of [ETH0, NET1]) expect(await pod.ping(reaches, 2)).toBe(true);

    await using capture = await cluster.testbed.capture();
    await pod.del(gone.configuration, gone.options);
    expect(await pod.ping(gone.reaches)).toBe(false);
    if (stays === NET1) await pod.exec(["ip", "route", "replace", `${SECOND.address}/32`, "via", "172.18.1.1"]);
    expect(await pod.ping(stays.reaches, 2)).toBe(true);
    await capture.sync();
    expect(await capture.packets(`${PLAIN} or net 10.174.0.0/16`)).toEqual([]);
    await pod.del(stays.configuration, stays.options);
    expect((await node.exec(["ip", "route", "show", "proto", "173"])).stdout).toBe("");
  });
});

describe("a pod whose hub restarts", () => {
  test.each([
    { signal: "SIGTERM" as const, within: 20_000 },
    { signal: "SIGKILL" as const, within: 40_000 },
  ])(
    "($signal) has its traffic back by itself, as the same identity, and nothing went out in plain",
    async ({ signal, within }) => {
      const configuration = conf({ vpn: { dpd: "1s" } });
      await using a = await addedPod(node, "a", configuration);
      await using b = await addedPod(cluster.node(2), "b", configuration);
      const identities = (await cluster.onlineLeases()).map(identityOf).sort();
      expect(identities).toHaveLength(2);
      await using _echo = await echo(b.pod);
      await using capture = await cluster.testbed.capture();
      await using sender = await Sender.start(a.pod, b.ip, 50);
      await sender.answers(10, 10_000);

      await cluster.hub.down(signal);
      await eventually("traffic stops", 5000, async () => (await sender.counts()).silence > 300);
      await cluster.hub.up();
      await sender.answers(10, within);

      expect((await cluster.onlineLeases()).map(identityOf).sort()).toEqual(identities);
      await capture.sync();
      expect(await capture.packets(PLAIN)).toEqual([]);
    },
  );
});

/** Of a line of `swanctl --list-pools --leases`. */
function identityOf(lease: string): string {
  return /'([^']*)'/.exec(lease)?.[1] ?? lease;
}
