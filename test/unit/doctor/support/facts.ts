import type { MeshDevice, MeshPeer } from "../../../../src/doctor/gather/devices.ts";
import type { PathFacts } from "../../../../src/doctor/gather/paths.ts";
import { type Address, parseAddress } from "../../../../src/net/address.ts";
import { type Prefix, parsePrefix } from "../../../../src/net/prefix.ts";
import type { Route } from "../../../../src/netlink/routes.ts";
import type { Observed } from "../../../../src/node/observe.ts";

export function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

export const NOW = Date.UTC(2026, 0, 1);

export const PEER: MeshPeer = {
  name: "n2",
  prefixes: [prefix("10.1.2.0/24")],
  targets: [address("10.1.2.1")],
  isSure: true,
  endpoint: { address: address("10.9.0.2"), port: 51820 },
};

export const LINK = { index: 7, name: "podvpn0", mtu: 1420, up: true, address: "" };

export const DEVICE: MeshDevice = {
  kind: "wireguard",
  name: "podvpn0",
  isAgents: false,
  record: {
    interface: "podvpn0",
    network: "podnet",
    guarded: [prefix("10.1.2.0/24")],
    podSubnets: [prefix("10.1.1.0/24")],
    fwmark: 0,
  },
  dataPlane: "kernel",
  link: LINK,
  port: 51820,
  peers: [PEER],
  problems: [],
  unguarded: [],
};

export const UPLINK = { index: 2, name: "eth0", mtu: 1500, up: true, address: "" };

export function route(dst: string, more: Partial<Route> = {}): Route {
  return { dst: prefix(dst), type: "unicast", table: 254, scope: "link", protocol: 3, ...more };
}

export const OBSERVED: Observed = {
  links: [UPLINK, LINK],
  subnets: [
    { dev: "eth0", address: address("10.9.0.1"), prefix: prefix("10.9.0.0/24") },
    { dev: "cni0", address: address("10.1.1.1"), prefix: prefix("10.1.1.0/24") },
  ],
  routes: [route("10.1.2.0/24", { oif: 7, protocol: 174 }), route("10.9.0.0/24", { oif: 2, protocol: 2 })],
  rules: [],
};

/** A path over which three pings of 428 bytes went, and came back. */
export function path(more: Partial<PathFacts> = {}): PathFacts {
  return {
    device: DEVICE,
    peer: PEER,
    underlay: {
      route: route("10.9.0.2/32", { oif: 2 }),
      knock: "silent",
      mtu: { wanted: 1480, largest: 1480, encapsulation: "wireguard" },
    },
    pings: [{ source: address("10.1.1.1"), target: address("10.1.2.1"), sent: 3, received: 3 }],
    before: { sent: 1000, received: 2000 },
    after: { sent: 2600, received: 3600, established: NOW - 5000 },
    ...more,
  };
}
