import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { StockHub } from "../../src/testbed/stock-hub.ts";
import { addedPod, BUILT, Cluster, conf, PSK, virtualIP } from "./support/cluster.ts";

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.create(2);
});
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

/** A second network: another hub, virtual subnet, bridge. */
const SECOND = { address: "10.9.0.253", subnet: "10.174.0.0/16" };
const second = conf({
  name: "second",
  bridge: "cni1",
  isDefaultGateway: false,
  isGateway: true,
  vpn: { serverIP: SECOND.address, virtualSubnet: SECOND.subnet },
  ipam: { type: "host-local", subnet: "172.18.1.0/24", routes: [{ dst: `${SECOND.address}/32` }] },
});
const NET1 = { ...BUILT, ifname: "net1" };

describe("two interfaces of one container", () => {
  let hub: StockHub;

  beforeAll(async () => {
    const node = await cluster.testbed.node("hub2", { addresses: [`${SECOND.address}/24`] });
    hub = await StockHub.start(node, { psk: PSK, edit: (text) => text.replaceAll("10.173.", "10.174.") });
    await node.exec(["ip", "address", "add", "10.174.255.254/32", "dev", "lo"]);
  });

  test("have a tunnel each, and the DEL of one leaves the other's", async () => {
    await using peer = await addedPod(cluster.node(2), "peer");
    await using two = await addedPod(cluster.node(1), "two");
    const result = await two.pod.add(second, NET1);
    expect(virtualIP(result)).toMatch(/^10\.174\./);
    expect(await two.pod.ping(peer.ip, 2)).toBe(true);
    expect(await two.pod.ping("10.174.255.254", 2)).toBe(true);
    await two.pod.del(second, NET1);
    expect(await two.pod.ping(peer.ip, 2)).toBe(true);
    expect(await hub.swanctl("--list-sas")).toBe("");
  });
});
