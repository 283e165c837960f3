import { expect, test } from "vitest";
import type { PlanOptions } from "../../../src/mesh/mesh-plan.ts";
import { type MtuOptions, meshMtuOf, peerMtu } from "../../../src/mesh/mtu.ts";
import { plan } from "../../../src/mesh/plan.ts";
import type { NodeRecord } from "../../../src/registry/node-record.ts";
import { address, record } from "./support/records.ts";

const FULL: PlanOptions = { topology: "full", down: new Set() };
const KERNEL: MtuOptions = { underlayMtu: 1500, ipsecDataPlane: "kernel" };
const v6 = { underlay: { private: [address("2001:db8::2")], public: [] } };
const ipsec = { drivers: ["ipsec" as const] };

function mtuOf(peer: Partial<NodeRecord>, options: Partial<MtuOptions> = {}): number | undefined {
  const me = record(1, {
    drivers: ["ipsec", "wireguard"],
    underlay: { private: [address("192.0.2.1"), address("2001:db8::1")], public: [] },
  });
  const [planned] = plan([me, record(2, peer)], "n1", FULL).peers;
  return planned && peerMtu(planned, { ...KERNEL, ...options });
}

test.each<[string, Partial<NodeRecord>, Partial<MtuOptions>, number]>([
  ["WireGuard leaves room for IPv6 outside, also over IPv4", {}, {}, 1420],
  ["WireGuard over IPv6", v6, {}, 1420],
  ["kernel ESP in UDP over IPv4", ipsec, {}, 1438],
  ["kernel ESP in UDP over IPv6", { ...ipsec, ...v6 }, {}, 1418],
  ["ESP to a name, which may be IPv6", { ...ipsec, underlay: { private: [], public: ["n2.example"] } }, {}, 1418],
  ["ESP in user space", ipsec, { ipsecDataPlane: "userspace" }, 1400],
  ["ESP in user space over a narrow underlay", { ...ipsec, mtu: 1400 }, { ipsecDataPlane: "userspace" }, 1338],
  ["jumbo frames", {}, { underlayMtu: 9000 }, 8920],
  ["the peer's underlay is narrower", { mtu: 1492 }, { underlayMtu: 9000 }, 1412],
  ["the peer's underlay is wider", { mtu: 9000 }, {}, 1420],
  ["the path is narrower than the link", {}, { pathMtu: () => 1400 }, 1320],
  ["the path is not known", {}, { pathMtu: () => undefined }, 1420],
])("the MTU of a peer: %s", (_name, peer, options, mtu) => {
  expect(mtuOf(peer, options)).toBe(mtu);
});

test("a peer that is waited for may come by IPv6", () => {
  const me = record(1, { ...ipsec, underlay: { private: [address("192.0.2.1")], public: ["n1.example"] } });
  const [peer] = plan([me, record(2, { ...ipsec, ...v6 })], "n1", FULL).peers;
  expect(peer?.candidates).toEqual([]);
  expect(peer && peerMtu(peer, KERNEL)).toBe(1418);
});

test("a device has the smallest MTU of its own peers", () => {
  const nodes = [
    record(1, { drivers: ["wireguard", "ipsec"] }),
    record(2, { mtu: 1400 }),
    record(3),
    record(4, { ...ipsec, mtu: 1300 }),
  ];
  const mesh = plan(nodes, "n1", FULL);
  expect(meshMtuOf(mesh, "wireguard", KERNEL)).toBe(1320);
  expect(meshMtuOf(mesh, "ipsec", KERNEL)).toBe(1238);
});

test("a device without peers has what one would leave it", () => {
  expect(meshMtuOf({ peers: [] }, "wireguard", KERNEL)).toBe(1420);
  expect(meshMtuOf({ peers: [] }, "ipsec", KERNEL)).toBe(1418);
  expect(meshMtuOf({ peers: [] }, "ipsec", { ...KERNEL, ipsecDataPlane: "userspace" })).toBe(1400);
});
