import { describe, expect, test } from "vitest";
import { isPublic, type UnderlayFacts, underlayAddresses } from "../../../src/agent/underlay.ts";
import type { AddressFlag, LinkAddress } from "../../../src/netlink/addresses.ts";
import type { Link } from "../../../src/netlink/links.ts";
import { type Route, Table } from "../../../src/netlink/routes.ts";
import { address, prefix } from "./support.ts";

const link = (index: number, name: string, kind?: string): Link => ({
  index,
  name,
  mtu: 1500,
  up: true,
  address: "",
  ...(kind && { kind }),
});
const on = (index: number, text: string, ...flags: AddressFlag[]): LinkAddress => {
  const [ip = "", length] = text.split("/");
  const scope = ip.startsWith("fe80") ? "link" : "universe";
  return { index, address: address(ip), prefixLength: Number(length), scope, flags };
};
const defaultRoute = (oif: number, dst = "0.0.0.0/0", metric?: number): Route => ({
  dst: prefix(dst),
  type: "unicast",
  table: Table.main,
  scope: "universe",
  protocol: 3,
  oif,
  ...(metric !== undefined && { metric }),
});

const LINKS = [
  link(1, "lo"),
  link(2, "eth0"),
  link(3, "eth1"),
  link(4, "cni0", "bridge"),
  link(5, "podvpn0", "wireguard"),
];
const facts = (overrides: Partial<UnderlayFacts>): UnderlayFacts => ({
  links: LINKS,
  addresses: [],
  routes: [],
  ...overrides,
});

describe("the underlay addresses of a node", () => {
  test("are those of the interface with the default route, of both families, IPv4 first", () => {
    const addresses = [
      on(2, "2001:db8::2/64"),
      on(2, "fe80::1/64"),
      on(2, "10.9.0.1/24"),
      on(3, "10.8.0.1/24"),
      on(4, "10.101.1.1/24"),
    ];
    const routes = [defaultRoute(2), defaultRoute(2, "::/0")];
    expect(underlayAddresses(facts({ addresses, routes }), [])).toEqual(["10.9.0.1", "2001:db8::2"]);
  });

  test("may be on another interface for each family", () => {
    const addresses = [on(2, "10.9.0.1/24"), on(3, "2001:db8::2/64")];
    expect(underlayAddresses(facts({ addresses, routes: [defaultRoute(2), defaultRoute(3, "::/0")] }), [])).toEqual([
      "10.9.0.1",
      "2001:db8::2",
    ]);
  });

  test("include those of a family that has no default route", () => {
    const addresses = [on(2, "10.9.0.1/24"), on(2, "fd00:9::1/64")];
    expect(underlayAddresses(facts({ addresses, routes: [defaultRoute(2)] }), [])).toEqual(["10.9.0.1", "fd00:9::1"]);
  });

  test("are of the route with the lowest metric, and never of a tunnel", () => {
    const addresses = [on(2, "10.9.0.1/24"), on(3, "10.8.0.1/24"), on(5, "10.7.0.1/24")];
    const routes = [
      defaultRoute(5, "0.0.0.0/0", 1),
      defaultRoute(3, "0.0.0.0/0", 100),
      defaultRoute(2, "0.0.0.0/0", 50),
    ];
    expect(underlayAddresses(facts({ addresses, routes }), [])).toEqual(["10.9.0.1"]);
  });

  test("are of a bridge only where there is nothing else", () => {
    const addresses = [on(2, "10.9.0.1/24"), on(4, "10.6.0.1/24")];
    const bridged = defaultRoute(4);
    expect(underlayAddresses(facts({ addresses, routes: [bridged, defaultRoute(2, "0.0.0.0/0", 500)] }), [])).toEqual([
      "10.9.0.1",
    ]);
    expect(underlayAddresses(facts({ addresses, routes: [bridged] }), [])).toEqual(["10.6.0.1"]);
  });

  test("are no aliases, no temporary ones, and none that cannot be used", () => {
    const addresses = [
      on(2, "10.9.0.1/24", "permanent"),
      on(2, "10.9.0.50/24", "secondary"),
      on(2, "2001:db8::2/64", "tentative"),
      on(2, "2001:db8::3/64", "deprecated"),
      on(2, "2001:db8::4/64", "secondary"),
      on(2, "2001:db8::5/64"),
    ];
    expect(underlayAddresses(facts({ addresses, routes: [defaultRoute(2)] }), [])).toEqual(["10.9.0.1", "2001:db8::5"]);
  });

  test("are not those that move from node to node, unless there is no other", () => {
    const routes = [defaultRoute(2)];
    const both = [on(2, "10.9.0.1/24"), on(2, "10.9.0.100/32")];
    expect(underlayAddresses(facts({ addresses: both, routes }), [])).toEqual(["10.9.0.1"]);
    expect(underlayAddresses(facts({ addresses: both.slice(1), routes }), [])).toEqual(["10.9.0.100"]);
  });

  test("are never in the mesh itself, and none where there is no default route", () => {
    const addresses = [on(2, "10.101.1.1/24"), on(2, "10.9.0.1/24")];
    expect(underlayAddresses(facts({ addresses, routes: [defaultRoute(2)] }), [prefix("10.101.0.0/16")])).toEqual([
      "10.9.0.1",
    ]);
    expect(underlayAddresses(facts({ addresses }), [])).toEqual([]);
  });
});

test.each([
  ["8.8.8.8", true],
  ["10.9.0.1", false],
  ["100.64.1.1", false],
  ["172.31.0.1", false],
  ["172.32.0.1", true],
  ["192.168.1.1", false],
  ["203.0.113.9", false],
  ["2a01:4f8::1", true],
  ["2001:db8::1", false],
  ["fd00:9::1", false],
  ["fe80::1", false],
])("whether %s can be reached from everywhere: %s", (text, expected) => {
  expect(isPublic(address(text))).toBe(expected);
});
