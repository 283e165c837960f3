import type { Node } from "../../../src/testbed/node.ts";
import type { Place } from "../../../src/testbed/place.ts";
import { type Cluster, type ClusterHub, conf, VIRTUAL_SUBNET, VIRTUAL_SUBNET_6 } from "./cluster.ts";

/** What a namespace has of IPsec. */
export interface Ipsec {
  /** SPIs of its ESP SAs, both directions. */
  readonly spis: readonly string[];
  /** Selectors of charon's policies: "out 10.173.0.1/32 10.173.0.0/16". */
  readonly policies: readonly string[];
  /** Those of the guard's, which block. */
  readonly blocks: readonly string[];
  /** Whether ESP is wrapped in UDP. */
  readonly encapsulated: boolean;
}

/** Reads it by `ip xfrm`, which shares no code with us. */
export async function ipsecOf(place: Place): Promise<Ipsec> {
  const states = (await place.exec(["ip", "xfrm", "state", "list", "nokeys"])).stdout;
  const policies = (await place.exec(["ip", "xfrm", "policy", "list", "nosock"])).stdout;
  const parsed = policies.split(/\n(?=\S)/).flatMap((entry) => {
    const found = /^src (\S+) dst (\S+)\s*\n\s+dir (\w+) /.exec(entry);
    const [, src, dst, direction] = found ?? [];
    return found === null
      ? []
      : [{ text: `${direction} ${src} ${dst}`, blocks: / action block /.test(entry), sealed: /\btmpl /.test(entry) }];
  });
  const texts = (wanted: (policy: (typeof parsed)[number]) => boolean) =>
    parsed
      .filter(wanted)
      .map(({ text }) => text)
      .sort();
  return {
    spis: [...states.matchAll(/proto esp spi (0x[\da-f]+)/g)].map(([, spi = ""]) => spi),
    policies: texts(({ sealed }) => sealed),
    blocks: texts(({ blocks }) => blocks),
    encapsulated: states.includes("encap type espinudp"),
  };
}

/** Charon's three policies for a virtual IP, as {@link ipsecOf} tells them. Pure. */
export function policiesFor(ip: string): string[] {
  const [host, subnet] = ip.includes(":") ? [`${ip}/128`, VIRTUAL_SUBNET_6] : [`${ip}/32`, VIRTUAL_SUBNET];
  return [`fwd ${subnet} ${host}`, `in ${subnet} ${host}`, `out ${host} ${subnet}`];
}

/** Both families, with kernel ESP; behind the node's masquerade, so that charon wraps ESP in UDP. */
export function kernelConf(overrides: Parameters<typeof conf>[0] = {}) {
  const { vpn, ...rest } = overrides;
  return conf({
    cniVersion: "1.0.0",
    ipam: { type: "host-local", ranges: [[{ subnet: "172.17.1.0/24" }], [{ subnet: "fd00:172:17:1::/64" }]] },
    ...rest,
    vpn: {
      virtualSubnet: [VIRTUAL_SUBNET, VIRTUAL_SUBNET_6],
      hostSubnet: ["10.9.0.0/24", "fd00:9::/64"],
      dataplane: "kernel",
      ...vpn,
    },
  });
}

/** Pods of a node with addresses that the underlay routes: no NAT on the way, and so ESP as it is, without UDP. */
export async function routedConf<Hub extends ClusterHub>(
  cluster: Cluster<Hub>,
  node: Node,
  overrides: Parameters<typeof conf>[0] = {},
) {
  const index = cluster.nodes.indexOf(node) + 1;
  const [four, six] = [`172.18.${index}.0/24`, `fd00:172:18:${index}::/64`];
  for (const other of [cluster.hubNode, ...cluster.nodes]) {
    if (other === node) continue;
    await other.exec(["ip", "route", "replace", four, "via", node.address(4)]);
    await other.exec(["ip", "route", "replace", six, "via", node.address(6)]);
  }
  return kernelConf({
    name: "routed",
    bridge: "cni2",
    ipMasq: false,
    ipam: { type: "host-local", ranges: [[{ subnet: four }], [{ subnet: six }]] },
    ...overrides,
  });
}

/** A pod's address on its link, IPv4: between it and the hub ESP goes. Pure. */
export function bareEsp(result: { readonly ips: readonly { readonly address: string }[] }): string {
  const found = result.ips.find(({ address }) => address.startsWith("172."));
  if (found === undefined) throw new Error("no address on the link");
  return found.address.slice(0, found.address.indexOf("/"));
}

/** Packets that XFRM has dropped in a namespace, by reason: counters of /proc/net/xfrm_stat that are not 0. */
export async function xfrmDrops(place: Place): Promise<Record<string, number>> {
  const { stdout } = await place.exec(["cat", "/proc/net/xfrm_stat"]);
  const counters = [...stdout.matchAll(/^(\w+)\s+(\d+)$/gm)].map(
    ([, name = "", count]) => [name, Number(count)] as const,
  );
  return Object.fromEntries(counters.filter(([, count]) => count > 0));
}

/** UDP datagrams that arrived in a namespace and found no room in their socket: its program had no processor. */
export async function overflows(place: Place): Promise<number> {
  const { stdout } = await place.exec(["nstat", "-asz", "UdpRcvbufErrors", "Udp6RcvbufErrors"]);
  return [...stdout.matchAll(/^Udp6?RcvbufErrors\s+(\d+)/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** A key and salt of RFC 4106 that encrypt nothing. */
const ANY_KEY = `0x${"00".repeat(20)}`;

/**
 * Makes and removes an SA. For its first one a kernel looks for the modules of the algorithms, a process for each: that
 * takes seconds on an emulated machine, more than a plugin waits for an answer.
 */
export async function firstSa(place: Place): Promise<void> {
  const id = ["src", "127.0.0.1", "dst", "127.0.0.1", "proto", "esp", "spi", "1"] as const;
  const algorithm = ["aead", "rfc4106(gcm(aes))", ANY_KEY, "128"] as const;
  await place.exec(["ip", "xfrm", "state", "add", ...id, "mode", "tunnel", ...algorithm]);
  await place.exec(["ip", "xfrm", "state", "delete", ...id]);
}

/** Whether three echo requests got no answer. @param from Source address, or link to which the socket is bound. */
export async function unanswered(place: Place, target: string, from?: string): Promise<boolean> {
  const source = from === undefined ? [] : ["-I", from];
  const options = ["-n", "-c", "3", "-i", "0.2", "-W", "1"];
  return (await place.exec(["ping", ...options, ...source, target], { check: false })).code !== 0;
}
