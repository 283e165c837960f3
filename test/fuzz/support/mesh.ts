import fc from "fast-check";
import type { MeshPlan, PlannedPeer } from "../../../src/mesh/mesh-plan.ts";
import { type Address, parseAddress } from "../../../src/net/address.ts";
import { contains, type Prefix, parsePrefix, prefixLength } from "../../../src/net/prefix.ts";
import type { Driver, NodeRecord } from "../../../src/registry/node-record.ts";
import { publicKeyFrom } from "../../../src/wireguard/key.ts";

/** What is drawn of a node; the rest follows from its number, so that no two contradict each other. */
interface Draft {
  readonly site: string | undefined;
  readonly gateway: boolean;
  readonly drivers: readonly Driver[];
  readonly identities: readonly Driver[];
  readonly families: readonly (4 | 6)[];
  /** Behind a NAT: of no public address. */
  readonly hidden: boolean;
  readonly named: boolean;
  readonly keepalive: number;
  readonly pods: number;
  readonly twin: boolean;
}

const drivers = fc.constantFrom<readonly Driver[]>(
  ["wireguard"],
  ["ipsec"],
  ["wireguard", "ipsec"],
  ["ipsec", "wireguard"],
);

const site = fc.constantFrom(undefined, "a", "b", "c");

/** Anything that a registry lets pass. */
const wild: fc.Arbitrary<Draft> = fc.record({
  site,
  gateway: fc.boolean(),
  drivers,
  identities: fc.constantFrom<readonly Driver[]>(
    ["wireguard", "ipsec"],
    ["wireguard", "ipsec"],
    ["wireguard"],
    ["ipsec"],
  ),
  families: fc.constantFrom<readonly (4 | 6)[]>([4], [6], [4, 6]),
  hidden: fc.boolean(),
  named: fc.boolean(),
  keepalive: fc.constantFrom(0, 0, 20),
  pods: fc.integer({ min: 0, max: 4 }),
  twin: fc.boolean(),
});

/** What an operator who did it right has: every two nodes can have a tunnel. */
const tame: fc.Arbitrary<Draft> = wild.map((draft) => ({
  ...draft,
  drivers: draft.drivers.includes("wireguard") ? draft.drivers : [...draft.drivers, "wireguard"],
  identities: ["wireguard", "ipsec"],
  families: [4, 6],
  twin: false,
}));

/** A record of node number `number`, below 256. */
function recordOf(number: number, draft: Draft): NodeRecord {
  const { families, twin } = draft;
  const privates = [
    ...(families.includes(4) ? [address(`192.0.2.${number}`)] : []),
    ...(families.includes(6) ? [address(`2001:db8::${number.toString(16)}`)] : []),
    ...(twin ? [address("192.168.1.10")] : []), // two sites may number their networks alike
  ];
  const publics = [
    ...(draft.hidden
      ? []
      : [families.includes(4) ? address(`198.51.100.${number}`) : address(`2001:db8:1::${number.toString(16)}`)]),
    ...(draft.named ? [`n${number}.example`] : []),
  ];
  const pods = [
    `10.101.${number}.0/25`,
    `fd00:101:0:${number.toString(16)}::/64`,
    `10.101.${number}.128/26`,
    `10.102.${number}.7/32`,
  ];
  const has = (driver: Driver) => draft.identities.includes(driver);
  return {
    name: `n${number}`,
    generation: 1,
    underlay: { private: privates, public: publics },
    podPrefixes: pods.slice(0, draft.pods).map(prefix),
    addresses: draft.pods === 0 ? [] : [address(`10.101.${number}.1`)],
    drivers: draft.drivers,
    ...(has("wireguard") && { wireguard: { publicKey: publicKeyFrom(new Uint8Array(32).fill(number)), port: 51820 } }),
    ...(has("ipsec") && { ipsec: { identity: `n${number}.mesh` } }),
    ...(draft.site !== undefined && { site: draft.site }),
    gateway: draft.gateway,
    keepalive: draft.keepalive,
    labels: {},
  };
}

const nodesOf = (draft: fc.Arbitrary<Draft>) =>
  fc
    .array(fc.tuple(fc.integer({ min: 1, max: 255 }), draft), { minLength: 1, maxLength: 12 })
    .map((drafts) => [...new Map(drafts)].map(([number, one]) => recordOf(number, one)));

/** Up to twelve nodes of which anything may be, in any order; no two contradict each other. */
export const anyNodes: fc.Arbitrary<NodeRecord[]> = nodesOf(wild);

/** Nodes of which every two could have a tunnel, and every site has a gateway. */
export const soundNodes: fc.Arbitrary<NodeRecord[]> = nodesOf(tame).map((nodes) => {
  const firsts = new Map([...nodes].reverse().map((node) => [node.site, node.name]));
  return nodes.map((node) => (firsts.get(node.site) === node.name ? { ...node, gateway: true } : node));
});

/** Another record of the same node. */
export function changedRecord(node: NodeRecord): fc.Arbitrary<NodeRecord> {
  return wild.map((draft) => recordOf(Number(node.name.slice(1)), draft));
}

/** Some of the nodes, by name. */
export function someOf(nodes: readonly NodeRecord[]): fc.Arbitrary<ReadonlySet<string>> {
  return fc.subarray(nodes.map(({ name }) => name)).map((names) => new Set(names));
}

/** The peer that a packet from or to `inner` belongs to, as cryptokey routing and a routing table find it: the longest prefix. */
export function ownerOf(plan: MeshPlan, inner: Prefix): PlannedPeer | undefined {
  let best: { readonly length: number; readonly peer: PlannedPeer } | undefined;
  for (const peer of plan.peers) {
    for (const one of peer.prefixes) {
      const length = prefixLength(one);
      if (contains(one, inner) && (best === undefined || length > best.length)) best = { length, peer };
    }
  }
  return best?.peer;
}

/** How a packet ends, and by whom it went. */
export interface Journey {
  readonly end: "arrived" | "no route" | "refused" | "loop";
  readonly by: readonly string[];
}

/** A packet between pods of two nodes, hop by hop: each looks for the destination, and the next one for the source. */
export function journey(
  plans: ReadonlyMap<string, MeshPlan>,
  source: Prefix,
  destination: Prefix,
  from: string,
): Journey {
  const by = [from];
  for (let at = from; by.length <= plans.size + 1; ) {
    const here = plans.get(at);
    if (here === undefined) throw new Error(`${at} has no plan`);
    if (here.podPrefixes.some((own) => contains(own, destination))) return { end: "arrived", by };
    const next = ownerOf(here, destination)?.name;
    if (next === undefined) return { end: "no route", by };
    by.push(next);
    const there = plans.get(next);
    if (there === undefined || ownerOf(there, source)?.name !== at) return { end: "refused", by };
    at = next;
  }
  return { end: "loop", by };
}

function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`${text} is no address`);
  return parsed;
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`${text} is no prefix`);
  return parsed;
}
