import { describe, expect, test } from "vitest";
import { type Address, parseAddress } from "../../../src/net/address.ts";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";
import type { Link } from "../../../src/netlink/links.ts";
import type { Route } from "../../../src/netlink/routes.ts";
import { fittingMtu, insideOf, meshMtu, type Underlay } from "../../../src/node/underlay.ts";

describe("the MTU of a mesh device", () => {
  test("is 1420 over Ethernet, for IPv4 and IPv6 outside alike", () => {
    expect(meshMtu(ethernet(), [address("10.9.0.2")], "podvpn0")).toBe(1420);
    expect(meshMtu(ethernet(), [address("fd00:9::2")], "podvpn0")).toBe(1420);
  });

  test("is what fits the smallest link on the way to a peer", () => {
    const underlay = with_(
      ethernet(),
      [link(3, "jumbo", 9000), link(4, "dsl", 1492)],
      [route("10.10.0.0/16", 3), route("10.11.0.0/16", 4)],
    );
    expect(meshMtu(underlay, [address("10.10.0.1")], "podvpn0")).toBe(8920);
    expect(meshMtu(underlay, [address("10.10.0.1"), address("10.11.0.1")], "podvpn0")).toBe(1412);
  });

  test("takes the MTU that a route has for itself before that of its link", () => {
    const underlay = with_(ethernet(), [], [{ ...route("10.10.0.0/16", 2), mtu: 1400 }]);
    expect(meshMtu(underlay, [address("10.10.0.1")], "podvpn0")).toBe(1320);
  });

  test("goes by the default routes where no endpoint is known", () => {
    const underlay = with_(ethernet(), [link(3, "jumbo", 9000)], [route("10.10.0.0/16", 3)]);
    expect(meshMtu(underlay, [], "podvpn0")).toBe(1420);
  });

  test("does not go by routes through the device itself, nor by those of other tables", () => {
    const underlay = with_(
      ethernet(),
      [link(7, "podvpn0", 1280), link(3, "jumbo", 9000)],
      [route("10.9.0.0/25", 7), { ...route("10.9.0.0/26", 3), table: 99 }],
    );
    expect(meshMtu(underlay, [address("10.9.0.2")], "podvpn0")).toBe(1420);
  });

  test("is Ethernet's on a node without any route", () => {
    expect(meshMtu({ links: [], subnets: [], routes: [] }, [address("10.9.0.2")], "podvpn0")).toBe(1420);
  });
});

describe("an MTU that is too small for IPv6", () => {
  test("is refused when IPv6 goes through the tunnel, with what the underlay needs", () => {
    expect(fittingMtu(1280, [prefix("10.1.0.0/16"), prefix("fd00::/64")])).toBe(1280);
    expect(() => fittingMtu(1279, [prefix("10.1.0.0/16"), prefix("fd00::/64")])).toThrow(
      "leave 1279 bytes for the tunnel, and fd00::/64 is IPv6, which needs 1280; give these links an MTU of at least 1360",
    );
  });

  test("is fine for IPv4 alone", () => {
    expect(fittingMtu(1200, [prefix("10.1.0.0/16")])).toBe(1200);
  });

  test("counts what peers are allowed and the device's own addresses", () => {
    const addresses = [{ address: address("fd00::1"), prefixLength: 64 }];
    expect(insideOf({ meshPrefixes: [prefix("10.1.0.0/16")], addresses })).toEqual(["10.1.0.0/16", "fd00::1/128"]);
  });
});

/** A node with one link of 1500 bytes, its subnets and default routes. */
function ethernet(): Underlay {
  return {
    links: [link(2, "eth0", 1500)],
    subnets: [],
    routes: [route("10.9.0.0/24", 2), route("fd00:9::/64", 2), route("0.0.0.0/0", 2), route("::/0", 2)],
  };
}

function with_(underlay: Underlay, links: readonly Link[], routes: readonly Route[]): Underlay {
  return { ...underlay, links: [...underlay.links, ...links], routes: [...underlay.routes, ...routes] };
}

function link(index: number, name: string, mtu: number): Link {
  return { index, name, mtu, up: true, address: "" };
}

function route(dst: string, oif: number): Route {
  return { dst: prefix(dst), type: "unicast", oif, table: 254, scope: "universe", protocol: 4 };
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}
