import type { Prefix } from "../../net/prefix.ts";
import { contains } from "../../net/prefix.ts";
import type { Observed } from "../../node/observe.ts";
import { type AgentPods, type CniFacts, isOfMesh } from "./cni.ts";

/** What another network plugin left on the node, or still has there. */
export interface Leftover {
  readonly of: string;
  readonly what: string;
  readonly command: string;
}

/** Names of links, or how they begin, by who makes them. */
const LINKS: readonly (readonly [string, RegExp])[] = [
  ["flannel", /^flannel(?:\.\d+|-v6\.\d+|-wg(?:-v6)?)$/],
  ["Calico", /^(?:cali[\da-f]{11}|vxlan(?:-v6)?\.calico|wireguard\.cali|wg-v6\.cali)$/],
  ["Cilium", /^(?:cilium_(?:host|net|vxlan|geneve|wg0)|lxc(?:[\da-f]{12}|_health))$/],
  ["Weave Net", /^(?:weave|vxlan-6784|vethwe-(?:bridge|datapath|pcap)|vethwepl[\da-f]+)$/],
  ["Antrea", /^(?:antrea-gw0|antrea-tun0|antrea-egress0)$/],
  ["kube-router", /^(?:kube-bridge|kube-dummy-if)$/],
  ["OVN-Kubernetes", /^ovn-k8s-mp\d+$/],
];

/** Types of plugins, by who has them. */
const TYPES: Readonly<Record<string, string>> = {
  flannel: "flannel",
  calico: "Calico",
  "cilium-cni": "Cilium",
  "weave-net": "Weave Net",
  antrea: "Antrea",
  "ovn-k8s-cni-overlay": "OVN-Kubernetes",
};

/** What of others is there: links and network configurations by their known names. Pure. */
export function leftoversOf({ links }: Pick<Observed, "links">, { files }: CniFacts): Leftover[] {
  // The veth's other end goes with it, so what has the same name twice cannot be.
  const ofLinks = links.flatMap(({ name }) => {
    const [owner] = LINKS.find(([, pattern]) => pattern.test(name)) ?? [];
    return owner === undefined ? [] : [{ of: owner, what: `the link ${name}`, command: `ip link del ${name}` }];
  });
  const ofFiles = files.flatMap(({ path, types, isPodvpns }) => {
    const owner = types.map((type) => TYPES[type]).find((name) => name !== undefined);
    if (owner === undefined || isPodvpns) return [];
    return [{ of: owner, what: path, command: `mv '${path}' '${path}.disabled'` }];
  });
  return [...ofLinks, ...ofFiles];
}

/** A bridge of podvpn's pods that has an address of other pods. */
export interface StaleBridge {
  readonly bridge: string;
  readonly address: string;
  readonly subnets: readonly Prefix[];
}

/** Bridges that the bridge plugin will refuse to use: "already has an IP address different from". Pure. */
export function staleBridges(
  { subnets }: Pick<Observed, "subnets">,
  { files }: CniFacts,
  agent: AgentPods | undefined,
): StaleBridge[] {
  const own = files.filter((file) => isOfMesh(file, agent));
  return own.flatMap(({ bridge, subnets: pods }) => {
    if (bridge === undefined || pods.length === 0) return [];
    const strange = subnets
      .filter(({ dev, address }) => dev === bridge && !address.startsWith("fe80:"))
      .filter(({ address }) => !pods.some(({ prefix }) => contains(prefix, address)));
    return strange.map(({ address }) => ({ bridge, address, subnets: pods.map(({ prefix }) => prefix) }));
  });
}
