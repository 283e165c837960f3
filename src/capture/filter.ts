import { addressBytes, type Family, family } from "../net/address.ts";
import { aggregate } from "../net/aggregate.ts";
import { networkAddress, type Prefix, prefixLength, prefixOf } from "../net/prefix.ts";

/** What the kernel shall hand to tcpdump. */
export interface FilterRequest {
  readonly prefixes: readonly Prefix[];
  readonly wireguardPorts: readonly number[];
  /** Whether frames of the link have Ethernet's header: only those have VLAN tags, and ARP. */
  readonly ethernet: boolean;
}

/**
 * A filter in pcap-filter(7)'s language for all that may be one of the {@link PacketKind}s but "other". It holds some
 * more where many prefixes or ports would make it long: the kernel takes it only up to `net.core.optmem_max` (20 KiB
 * before Linux 6.7), and without it tcpdump is handed every packet. Exact is who looks at the packets. Pure.
 */
export function captureFilter({ prefixes, wireguardPorts, ethernet }: FilterRequest): string {
  const nets = ([4, 6] as const).flatMap((version) => {
    const ofFamily = prefixes.filter((prefix) => family(prefix) === version);
    return widen(ofFamily, MOST_PREFIXES).map((prefix) => netTerm(version, prefix));
  });
  const terms = [
    ...nets,
    "ip proto 50",
    "ip6 proto 50",
    "udp port 500",
    "udp port 4500",
    ...portRanges(wireguardPorts, MOST_RANGES).map(([first, last]) => `udp portrange ${first}-${last}`),
    // Neighbour solicitation and advertisement, whose target may be in a prefix when no address of theirs is.
    "(icmp6 and (ip6[40] = 135 or ip6[40] = 136))",
    ...(ethernet ? ["arp"] : []),
  ];
  const all = `(${terms.join(" or ")})`;
  // Where the card or the kernel has taken a tag off, the first half sees what was behind it. "vlan" moves all that
  // follows it behind one tag; what has a second one is taken as it is.
  return ethernet ? `${all} or (vlan and (${all} or vlan))` : all;
}

/** With these, two families and both halves it stays within 20 KiB: measured, libpcap 1.10. */
const MOST_PREFIXES = 8;
const MOST_RANGES = 4;

/**
 * At most `most` prefixes that hold all of these, and as little else as can be: neighbours become what holds both,
 * those first that are closest to each other. All are of one family. Pure.
 */
export function widen(prefixes: readonly Prefix[], most: number): Prefix[] {
  const sorted = aggregate(prefixes);
  const gaps = sorted
    .slice(1)
    .map((prefix, index) => ({ index, common: commonLength(sorted[index] ?? prefix, prefix) }));
  // The widest gaps stay.
  const cuts = gaps
    .sort((one, other) => one.common - other.common)
    .slice(0, most - 1)
    .map(({ index }) => index + 1)
    .sort((one, other) => one - other);
  const groups = [0, ...cuts].map((start, index) => sorted.slice(start, cuts[index]));
  // Of gaps that are equally wide some are closed and some are not: then one group may hold the next.
  return aggregate(groups.flatMap(holderOf));
}

/** What holds all of a sorted group: that is what holds its first and its last. */
function holderOf(group: readonly Prefix[]): Prefix[] {
  const [first, last] = [group[0], group.at(-1)];
  if (first === undefined || last === undefined) return [];
  return [prefixOf(networkAddress(first), commonLength(first, last))];
}

/** In bits: the length of the longest prefix that holds both. */
function commonLength(one: Prefix, other: Prefix): number {
  const [left, right] = [addressBytes(networkAddress(one)), addressBytes(networkAddress(other))];
  const index = left.findIndex((byte, at) => byte !== right[at]);
  const same = index < 0 ? 8 * left.length : 8 * index + Math.clz32((left[index] ?? 0) ^ (right[index] ?? 0)) - 24;
  return Math.min(same, prefixLength(one), prefixLength(other));
}

/** At most `most` ranges that hold all of the ports: the widest gaps between them stay. Pure. */
export function portRanges(ports: readonly number[], most: number): [first: number, last: number][] {
  const sorted = [...new Set(ports)].sort((one, other) => one - other);
  const gaps = sorted.slice(1).map((port, index) => ({ index, width: port - (sorted[index] ?? port) }));
  const cuts = gaps
    .filter(({ width }) => width > 1)
    .sort((one, other) => other.width - one.width)
    .slice(0, most - 1)
    .map(({ index }) => index + 1)
    .sort((one, other) => one - other);
  return [0, ...cuts].flatMap((start, index) => {
    const range = sorted.slice(start, cuts[index]);
    const [first, last] = [range[0], range.at(-1)];
    return first === undefined || last === undefined ? [] : [[first, last] satisfies [number, number]];
  });
}

/** A filter of length 0 is no `net` to libpcap. */
function netTerm(version: Family, prefix: Prefix): string {
  const protocol = version === 4 ? "ip" : "ip6";
  return prefixLength(prefix) === 0 ? protocol : `${protocol} net ${prefix}`;
}
