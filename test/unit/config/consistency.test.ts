import { describe, expect, test } from "vitest";
import { issuesOf, parse, withVpn } from "./support.ts";

describe("fields that contradict each other", () => {
  test.each<[string, Record<string, unknown>, Record<string, unknown>, string]>([
    [
      "a hub inside the virtual subnet",
      { serverIP: ["192.0.2.1", "10.173.5.5"] },
      {},
      'vpn.serverIP[1] is "10.173.5.5", which is in "10.173.0.0/16" (vpn.virtualSubnet): the hub would be behind its own tunnel',
    ],
    [
      "virtual subnets that overlap",
      { virtualSubnet: ["10.173.0.0/16", "fd00::/64", "10.173.9.0/24"] },
      {},
      'vpn.virtualSubnet[2] is "10.173.9.0/24", which overlaps "10.173.0.0/16" (vpn.virtualSubnet[0])',
    ],
    [
      "a virtual subnet given twice",
      { virtualSubnet: ["10.173.0.0/16", "10.173.1.1/16"] },
      {},
      'vpn.virtualSubnet[1] is "10.173.0.0/16", which overlaps "10.173.0.0/16" (vpn.virtualSubnet[0])',
    ],
    [
      "a subnet that is virtual and the host's",
      { hostSubnet: ["10.9.0.0/24", "10.173.0.0/16"] },
      {},
      'vpn.virtualSubnet is "10.173.0.0/16", and so is vpn.hostSubnet',
    ],
    [
      "a bridge inside the virtual subnet",
      {},
      { ipam: { type: "host-local", subnet: "10.173.4.0/24" } },
      'ipam.subnet is "10.173.4.0/24", which overlaps "10.173.0.0/16" (vpn.virtualSubnet)',
    ],
    [
      "a bridge around the virtual subnet",
      { virtualSubnet: ["10.173.0.0/16", "fd00:173::/64"] },
      { ipam: { ranges: [[{ subnet: "172.17.1.0/24" }], [{ subnet: "fd00:1::/64" }, { subnet: "fd00::/16" }]] } },
      'ipam.ranges[1][1].subnet is "fd00::/16", which overlaps "fd00:173::/64" (vpn.virtualSubnet[1])',
    ],
    [
      "a bridge that an exclusion holds only in part",
      { virtualSubnet: "10.0.0.0/8", hostSubnet: ["10.9.0.0/24", "10.9.1.0/25"] },
      { ipam: { subnet: "10.9.1.0/24" } },
      'ipam.subnet is "10.9.1.0/24", which overlaps "10.0.0.0/8" (vpn.virtualSubnet)',
    ],
    [
      "a small MTU with IPv6",
      { virtualSubnet: ["10.173.0.0/16", "fd00:173::/64"], mtu: 1279 },
      {},
      "vpn.mtu is 1279, and vpn.virtualSubnet[1] is IPv6",
    ],
    [
      "a charon of the node, with ESP in user space",
      { attach: "node", dataplane: "userspace" },
      {},
      'vpn.attach is "node", and vpn.dataplane is "userspace"',
    ],
  ])("%s", (_name, keys, top, begin) => {
    const issues = issuesOf(withVpn(keys, top));
    expect(issues).toHaveLength(1);
    expect(issues[0]).toSatisfy((line: string) => line.startsWith(begin), `begins with ${begin}`);
  });
});

describe("fields that only seem to contradict each other", () => {
  test.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    [
      "a full tunnel holds the hub and the bridge",
      { virtualSubnet: ["0.0.0.0/0", "::/0"], serverIP: "2001:db8::1" },
      {},
    ],
    ["a hostSubnet takes the hub out of the virtual subnet", { virtualSubnet: "10.0.0.0/8" }, {}],
    [
      "a hostSubnet takes the bridge out of the virtual subnet",
      { virtualSubnet: "10.0.0.0/8", hostSubnet: ["10.9.0.0/24", "10.8.0.0/16"] },
      { ipam: { subnet: "10.8.4.0/24" } },
    ],
    ["a virtual subnet lies inside a hostSubnet", { hostSubnet: "10.0.0.0/8" }, {}],
    ["families differ", { virtualSubnet: "fd00:173::/64", serverIP: "192.0.2.1" }, {}],
    ["a small MTU with IPv4 alone", { mtu: 576 }, {}],
    ["an IPAM that is not ours to understand", {}, { ipam: { subnet: 7, ranges: [[], {}, [null, { subnet: "x" }]] } }],
    ["a charon of the node, with the kernel's ESP", { attach: "node", dataplane: "kernel" }, {}],
    ["a charon of the node, which takes the kernel's ESP by itself", { attach: "node", dataplane: "auto" }, {}],
    ["no IPAM, as in a chain", {}, { ipam: undefined }],
  ])("%s", (_name, keys, top) => {
    expect(parse(withVpn(keys, top)).servers).toHaveLength(1);
  });
});
