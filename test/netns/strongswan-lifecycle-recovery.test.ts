import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Node } from "../../src/testbed/node.ts";
import { StockHub } from "../../src/testbed/stock-hub.ts";
import { echo, Sender } from "../../src/testbed/traffic.ts";
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

/** The hub's own address in its virtual subnet. */
const HUB_VIRTUAL = "10.173.255.254";

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
  const ETH0 = { configuration: conf(), options: BUILT, reaches: HUB_VIRTUAL };
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
    expect(await pod.ping(stays.reaches, 2)).toBe(true);
    await capture.sync();
    expect(await capture.packets(`${PLAIN} or net 10.174.0.0/16`)).toEqual([]);
    await pod.del(stays.configuration, stays.options);
    const { stdout } = await node.exec(["ip", "route", "show", "proto", "173"]);
    expect(
      stdout
        .trim()
        .split("\n")
        .sort()
        .map((line) => line.trim()),
    ).toEqual([
      "unreachable 10.173.0.0/16 metric 4000", // what the node goes on refusing; no way to any pod
      "unreachable 10.174.0.0/16 metric 4000",
    ]);
  });
});

describe("a second interface of a container", () => {
  const other = { name: "second", bridge: "cni1", ipam: { type: "host-local", subnet: "172.18.1.0/24" } };
  const net1 = { ...BUILT, ifname: "net1" };

  test.each([
    {
      name: "has the first one's virtual subnet",
      configuration: conf(other),
      error: { code: 7, msg: expect.stringContaining(`vpn.virtualSubnet is "${VIRTUAL_SUBNET}", and so is`) },
    },
    {
      name: "is refused by the hub",
      configuration: conf({ ...other, isDefaultGateway: false, vpn: { virtualSubnet: "10.176.0.0/16" } }),
      error: { code: 107 },
    },
  ])("that $name leaves the first as it was", async ({ configuration, error }) => {
    const checked = conf({ cniVersion: "1.0.0" });
    await using first = await addedPod(node, "first", checked);
    const before = await first.pod.exec(["sh", "-c", DUMP]);
    expect(await failure(first.pod.add(configuration, net1))).toMatchObject(error);
    expect((await first.pod.exec(["sh", "-c", DUMP])).stdout).toBe(before.stdout);
    await first.pod.check(checked, BUILT);
    expect(await first.pod.ping(HUB_VIRTUAL, 2)).toBe(true);
  });
});

/** What a pod's namespace has of addresses, routes, rules and tables. */
const DUMP =
  "ip -brief address; ip route show table all; ip rule; ip -6 rule; nft -s list ruleset | sed s/counter.*drop/drop/";

describe("a pod whose hub restarts", () => {
  test.each([
    { signal: "SIGTERM" as const, address: "10.9.0.201" }, // tells the pod
    { signal: "SIGKILL" as const, address: "10.9.0.202" }, // does not: the pod finds out
  ])("($signal) has its traffic back, with nothing sent in plain meanwhile", async ({ signal, address }) => {
    // A hub of its own: a stock one that restarts hands out its addresses from the first on.
    const hub = await StockHub.start(await cluster.testbed.node(signal, { addresses: [`${address}/24`] }), {
      psk: PSK,
    });
    const configuration = conf({ cniVersion: "1.0.0", vpn: { serverIP: address, dpd: "1s" } });
    await using pod = await addedPod(node, signal, configuration);
    const leases = () => hub.swanctl("--list-pools", "--leases");
    const before = await leases();
    expect(before).toMatch(new RegExp(`${pod.ip} +online +'n1-${signal}\\.eth0@`));
    await using _echo = await echo(hub.node);
    await using capture = await cluster.testbed.capture();
    await using sender = await Sender.start(pod.pod, HUB_VIRTUAL, 50);
    await sender.answers(10, 10_000);

    await hub.down(signal);
    await eventually("traffic stops", 5000, async () => (await sender.counts()).silence > 300);
    await eventually("CHECK tells", 20_000, async () => !(await succeeds(pod.pod.check(configuration, BUILT))));
    expect(await failure(pod.pod.check(configuration, BUILT))).toMatchObject({ code: 108 });
    await hub.up();
    await sender.answers(10, 30_000);

    expect(await leases()).toBe(before);
    await eventually("CHECK is content", 5000, () => succeeds(pod.pod.check(configuration, BUILT)));
    await capture.sync();
    expect(await capture.packets(PLAIN)).toEqual([]);
  });
});

async function succeeds(call: Promise<unknown>): Promise<boolean> {
  return call.then(
    () => true,
    () => false,
  );
}
