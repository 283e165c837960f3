import type { Node } from "../../../src/testbed/node.ts";
import type { Testbed } from "../../../src/testbed/testbed.ts";
import * as ipsec from "../../netns/support/cluster.ts";
import * as wireguard from "../../netns/support/mesh.ts";

/** The types of the plugins that are tested. */
export const TYPES = ["strongswan", "wireguard"] as const;
export type NetworkType = (typeof TYPES)[number];

/** The name of the network in every configuration. */
export const NETWORK = "podnet";

/** A network configuration list with our plugin in it. */
export interface NetworkList {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly Readonly<Record<string, unknown>>[];
}

/** Two nodes whose pods speak through a tunnel, with all that it takes beside the plugin (for `strongswan`: a hub). */
export interface Network extends AsyncDisposable {
  readonly testbed: Testbed;
  /** @param index 1 or 2. */
  node(index: number): Node;
  /** What a node's runtime is configured with. @param overrides Of the plugin's own object, replaced as a whole. */
  list(of: number, cniVersion: string, overrides?: Readonly<Record<string, unknown>>): NetworkList;
  /** A configuration's `ipam` with just two addresses for pods. */
  smallRange(of: number): Readonly<Record<string, unknown>>;
  /** Filters of tcpdump's language, for what goes between the nodes. */
  readonly filters: { readonly plain: string; readonly encrypted: string };
  /** The addresses that the hub has given out and holds for online: one a pod. None where there is no hub. */
  leases(): Promise<string[]>;
}

/** @returns When all but the pods is there. */
export function createNetwork(type: NetworkType): Promise<Network> {
  return type === "strongswan" ? strongswanNetwork() : wireguardNetwork();
}

async function strongswanNetwork(): Promise<Network> {
  const cluster = await ipsec.Cluster.create(2);

  return {
    testbed: cluster.testbed,
    node: (index) => cluster.node(index),
    list: (of, cniVersion, overrides = {}) => {
      const ipam = { type: "host-local", subnet: `172.17.${of}.0/24` };
      return asList(cniVersion, { ...ipsec.conf({ ipam }), ...overrides });
    },
    smallRange: (of) => ({ type: "host-local", ranges: [[twoAddresses(`172.17.${of}`)]] }),
    filters: { plain: ipsec.PLAIN, encrypted: ipsec.ENCRYPTED },
    leases: () => cluster.onlineLeases(),
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

async function wireguardNetwork(): Promise<Network> {
  const mesh = await wireguard.Mesh.create(2);
  return {
    testbed: mesh.testbed,
    node: (index) => mesh.at(index).node,
    // The device goes with the last pod: then a node without pods is as if there never had been one.
    list: (of, cniVersion, overrides = {}) =>
      asList(cniVersion, { ...mesh.conf(of, { wireguard: { removeWithLastPod: true } }), ...overrides }),
    smallRange: (of) => ({ type: "host-local", ranges: [[twoAddresses(`10.1.${of}`)]] }),
    filters: { plain: wireguard.PLAIN, encrypted: wireguard.ENCRYPTED },
    leases: async () => [],
    [Symbol.asyncDispose]: () => mesh[Symbol.asyncDispose](),
  };
}

/** Those from which host-local gives out .2 and .3. */
function twoAddresses(prefix: string) {
  return { subnet: `${prefix}.0/24`, rangeStart: `${prefix}.2`, rangeEnd: `${prefix}.3` };
}

function asList(cniVersion: string, conf: Readonly<Record<string, unknown>>): NetworkList {
  const { name: _name, cniVersion: _version, ...plugin } = conf;
  return { cniVersion, name: NETWORK, plugins: [plugin] };
}
