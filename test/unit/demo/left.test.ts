import { describe, expect, it } from "vitest";
import { leftOf } from "../../../src/demo/left.ts";

describe("what is left of pods", () => {
  it.each([
    "+ links: cni0 bridge mtu 1500 BROADCAST,MULTICAST,UP",
    "+ addresses: cni0 172.17.1.1/24 global",
    "+ IPv4 routes: 172.17.1.0/24 dev cni0 proto kernel scope link src 172.17.1.1",
    "+ IPv4 routes: local 172.17.1.1 dev cni0 table local proto kernel scope host src 172.17.1.1",
    "+ files: /var/lib/cni/networks/demo/last_reserved_ip.0",
    "+ files: /var/lib/cni/cache/results/",
    "+ files: /run/podvpn/pods/",
    "+ files: /run/wireguard/",
    "+ files: /var/lib/podvpn/addons/netlink-b6f6.node",
  ])("does not hold %j, which is nobody's", (line) => {
    expect(leftOf([line])).toEqual([]);
  });

  it.each([
    "+ links: veth1234 veth mtu 1500 BROADCAST,MULTICAST,UP cni0",
    "+ links: podvpn0 tun mtu 1420 POINTOPOINT,UP",
    "+ IPv4 routes: 10.173.0.1 via 172.17.1.2 dev cni0 proto 173",
    "+ IPv4 routes: unreachable 172.17.2.0/24 proto 174 metric 4010",
    "+ files: /var/lib/cni/networks/demo/172.17.1.2",
    "+ files: /var/lib/cni/cache/results/demo-node-a-a1-eth0",
    "+ files: /run/podvpn/pods/node-a-a1+eth0/",
    "+ files: /run/podvpn/devices/podvpn0/",
    "+ files: /run/wireguard/podvpn0.sock",
    "+ processes: /usr/bin/wireguard-go -f podvpn0",
    "+ nftables: table inet podvpn-mesh-podvpn0",
    "- IPv4 routes: default via 169.254.1.1 dev eth0 onlink",
  ])("holds %j", (line) => {
    expect(leftOf([line])).toEqual([line]);
  });
});
