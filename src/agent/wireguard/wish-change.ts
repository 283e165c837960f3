import { sameEndpoint } from "../../net/endpoint.ts";
import type { Prefix } from "../../net/prefix.ts";
import { sameItems } from "../../net/same-items.ts";
import type { Observed } from "../../node/observe.ts";
import type { DataPlane, DeviceSettings, DeviceState } from "../../wireguard/device.ts";
import { clamped, type PublicKey, sameSecret } from "../../wireguard/key.ts";
import type { WantedTunnel, WantedTunnels } from "../driver.ts";
import type { DeviceOptions } from "./apply.ts";
import { deviceMtu } from "./device-mtu.ts";
import { fittingTunnels, type MeshFacts } from "./fitting.ts";
import type { SlotPeer } from "./slot-plan.ts";

/** What an apply that read everything found, and left as it was wanted; and what has changed of it since. */
export interface Known {
  readonly options: DeviceOptions;
  readonly facts: MeshFacts;
  readonly observed: Observed;
  readonly dataPlane: DataPlane;
  /** The device's link: another index is another device. */
  readonly index: number;
  /** Of the device, in bytes. */
  readonly mtu: number;
  readonly wanted: WantedTunnels;
  /** By name. */
  readonly tunnels: ReadonlyMap<string, WantedTunnel>;
  /** As the device has them, by name. */
  readonly peers: ReadonlyMap<string, SlotPeer>;
}

/** What is wanted otherwise than before, of few peers: all others are left out. */
export interface WishChange {
  readonly settings: DeviceSettings;
  /** As the device has it, unless somebody else has changed it. */
  readonly expected: DeviceState;
  /** All keys that occur in either. */
  readonly keys: ReadonlySet<PublicKey>;
  readonly lost: ReadonlySet<PublicKey>;
  /** Whether it depends on the sessions what is to be written. */
  readonly looks: boolean;
  /** Prefixes to which routes come, and to which they go. */
  readonly routes: { readonly add: readonly Prefix[]; readonly remove: readonly Prefix[] };
  /** Names of peers. */
  readonly made: readonly string[];
  readonly kept: readonly KeptPeer[];
  readonly removed: readonly string[];
  /** What is known when all of it has been done. */
  readonly next: Known;
}

/** A peer that changes. */
export interface KeptPeer {
  readonly name: string;
  readonly publicKey: PublicKey;
  /** Whether it has other prefixes now. */
  readonly isRouted: boolean;
}

/** More at once are no reason to be brief. */
const MOST = 50;

/**
 * What is wanted otherwise than before, where that can be done by itself: peers that come, change and go, at rest. All
 * else (what is guarded or forwarded, the device, keys that change, whatever stands in the way) needs a look at all that
 * there is: undefined. Pure.
 */
export function wishChange(known: Known, wanted: WantedTunnels, options: DeviceOptions): WishChange | undefined {
  if (!sameOptions(known.options, options) || !sameFrame(known.wanted, wanted)) return undefined;
  const names = new Set(wanted.tunnels.map(({ peer }) => peer.name));
  const removed = [...known.tunnels.keys()].filter((name) => !names.has(name));
  const tunnels = wanted.tunnels.filter((tunnel) => !sameTunnel(known.tunnels.get(tunnel.peer.name), tunnel));
  if (removed.length + tunnels.length > MOST) return undefined;
  const fitting = fittingTunnels({ ...wanted, tunnels }, known.facts);
  const { peers } = fitting;
  if (fitting.obstacles.length > 0 || peers.length < tunnels.length) return undefined;
  if (!tunnels.every((tunnel) => isForwarded(tunnel, known)) || !fits(tunnels, fitting, wanted, known))
    return undefined;
  if (!peers.every((peer) => isAtRest(peer, known.peers.get(peer.name)))) return undefined;
  const before = [...removed, ...peers.map(({ name }) => name)].flatMap((name) => known.peers.get(name) ?? []);
  const { port: listenPort, fwmark } = options;
  const now = new Set(peers.flatMap(({ prefixes }) => prefixes));
  const then = new Set(before.flatMap(({ prefixes }) => prefixes));
  return {
    settings: { privateKey: options.privateKey, listenPort, fwmark, peers: peers.map(asWanted) },
    expected: { privateKey: clamped(options.privateKey), listenPort, fwmark, peers: before.map(asExpected) },
    keys: new Set([...before, ...peers].map(({ publicKey }) => publicKey)),
    lost: new Set(peers.filter(({ isLost }) => isLost).map(({ publicKey }) => publicKey)),
    looks: peers.some((peer) => isMoved(peer, known.peers.get(peer.name))),
    routes: {
      add: [...now].filter((prefix) => !then.has(prefix)),
      remove: [...then].filter((prefix) => !now.has(prefix)),
    },
    made: peers.filter(({ name }) => !known.peers.has(name)).map(({ name }) => name),
    kept: peers.flatMap(({ name, publicKey, prefixes }): KeptPeer[] => {
      const there = known.peers.get(name);
      return there === undefined ? [] : [{ name, publicKey, isRouted: !sameItems(there.prefixes, prefixes) }];
    }),
    removed,
    next: {
      ...known,
      wanted,
      tunnels: replaced(known.tunnels, removed, tunnels, ({ peer }) => peer.name),
      peers: replaced(known.peers, removed, peers, ({ name }) => name),
    },
  };
}

function sameOptions(one: DeviceOptions, other: DeviceOptions): boolean {
  const isAtRest = one.nextPrivateKey === undefined && other.nextPrivateKey === undefined;
  return isAtRest && sameSecret(one.privateKey, other.privateKey);
}

/** All that is not of one peer. */
function sameFrame(one: WantedTunnels, other: WantedTunnels): boolean {
  return (
    one.mtu === other.mtu &&
    sameItems(one.guarded, other.guarded) &&
    sameItems(one.podPrefixes, other.podPrefixes) &&
    sameItems(one.addresses, other.addresses)
  );
}

function sameTunnel(one: WantedTunnel | undefined, other: WantedTunnel): boolean {
  if (one === undefined || (one.isLost ?? false) !== (other.isLost ?? false)) return false;
  if (!sameEndpoints(one, other)) return false;
  return one.peer === other.peer || JSON.stringify(one.peer) === JSON.stringify(other.peer);
}

function sameEndpoints(
  { endpoint: one }: Pick<WantedTunnel, "endpoint">,
  { endpoint: other }: Pick<WantedTunnel, "endpoint">,
): boolean {
  return one === undefined || other === undefined ? one === other : sameEndpoint(one, other);
}

/** Whether what comes from the peer is let through already: it gets what all get, or what it got before. */
function isForwarded({ peer }: WantedTunnel, { wanted, tunnels }: Known): boolean {
  const before = tunnels.get(peer.name)?.peer.localPrefixes;
  return (
    sameItems(peer.localPrefixes, wanted.podPrefixes) || (before !== undefined && sameItems(peer.localPrefixes, before))
  );
}

/** Whether the device's MTU is small enough. One that could be larger now waits for the next look at everything. */
function fits(
  tunnels: readonly WantedTunnel[],
  fitting: Parameters<typeof deviceMtu>[1],
  wanted: WantedTunnels,
  { observed, options, mtu }: Known,
): boolean {
  if (tunnels.length === 0) return true;
  const needed = deviceMtu({ ...wanted, tunnels }, fitting, observed, options.interface);
  return needed.obstacle === undefined && needed.mtu >= mtu;
}

function isAtRest(peer: SlotPeer, before: SlotPeer | undefined): boolean {
  return peer.nextPublicKey === undefined && (before === undefined || before.publicKey === peer.publicKey);
}

function isMoved(peer: SlotPeer, before: SlotPeer | undefined): boolean {
  if (before === undefined || peer.endpoint === undefined) return false;
  return !sameEndpoints(before, peer) || (before.isLost ?? false) !== (peer.isLost ?? false);
}

function asWanted({ publicKey, prefixes, persistentKeepalive, endpoint }: SlotPeer) {
  return { publicKey, allowedIPs: prefixes, persistentKeepalive, ...(endpoint && { endpoint }) };
}

function asExpected(peer: SlotPeer) {
  return { ...asWanted(peer), receivedBytes: 0, sentBytes: 0 };
}

function replaced<T>(
  before: ReadonlyMap<string, T>,
  removed: readonly string[],
  others: readonly T[],
  nameOf: (one: T) => string,
): ReadonlyMap<string, T> {
  const after = new Map(before);
  for (const name of removed) after.delete(name);
  for (const one of others) after.set(nameOf(one), one);
  return after;
}
