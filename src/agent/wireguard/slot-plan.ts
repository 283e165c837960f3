import type { Endpoint } from "../../net/endpoint.ts";
import type { Prefix } from "../../net/prefix.ts";
import type { Secret } from "../../secret.ts";
import type { DeviceSettings, DeviceState, Peer, PeerState } from "../../wireguard/device.ts";
import { isAlive } from "../../wireguard/diff.ts";
import { clamped, type PublicKey, sameSecret } from "../../wireguard/key.ts";
import { type SlotName, secondEndpoint, secondPort } from "./slots.ts";

/** What the devices shall come to, peer by peer. */
export interface SlotWish {
  readonly privateKey: Secret;
  /** While this node's key changes: the one that comes. */
  readonly nextPrivateKey?: Secret;
  /** UDP, of the first device. */
  readonly listenPort: number;
  readonly fwmark: number;
  readonly peers: readonly SlotPeer[];
}

/** A peer as its record and the plan have it. */
export interface SlotPeer {
  readonly name: string;
  readonly publicKey: PublicKey;
  /** While the peer's key changes: the one that comes. */
  readonly nextPublicKey?: PublicKey;
  /** UDP, of its first device. */
  readonly port: number;
  /** Of its first device. */
  readonly endpoint?: Endpoint;
  readonly prefixes: readonly Prefix[];
  /** In seconds; 0 is never. */
  readonly persistentKeepalive: number;
  /** See {@link WantedTunnel.isLost}. */
  readonly isLost?: boolean;
}

/** What was read. */
export interface ObservedSlots {
  readonly first?: DeviceState;
  readonly second?: DeviceState;
  /** Through which device a prefix is routed. */
  readonly routes: ReadonlyMap<Prefix, SlotName>;
  /** Milliseconds for which nothing has come from that peer by the second device, as far as anybody has looked. */
  readonly quiet: (publicKey: PublicKey) => number;
}

/** A device as the next step makes it. */
export interface WantedDevice {
  readonly settings: DeviceSettings;
  /** Its peers are removed before it gets its key: what they have of a handshake afterwards is of that key. */
  readonly anew: boolean;
  /** Peers whose endpoint is to be taken although their session is young. */
  readonly lost?: ReadonlySet<PublicKey>;
}

/** One step, which cuts nothing; the next one is made of what is observed then. */
export interface SlotPlan {
  readonly first: WantedDevice;
  /** Absent: there shall be none. */
  readonly second?: WantedDevice;
  /** By which device the prefixes of a peer go, by its name. */
  readonly ways: ReadonlyMap<string, SlotName>;
  /** Whether that is all, and no other step is needed. */
  readonly settled: boolean;
  readonly progress: readonly PeerProgress[];
}

/** How far a peer is in a change of this node's key. */
export interface PeerProgress {
  readonly name: string;
  /** On the first device. */
  readonly publicKey: PublicKey;
  /** Whether there is a tunnel to it at all. */
  readonly hasTunnel: boolean;
  /** Whether packets go to it by the next key. */
  readonly hasMoved: boolean;
}

/** Seconds between two packets by which either side tells the other that it still uses a device. */
export const IN_USE = 1;
/** Milliseconds without any of them after which nobody does: five, as a busy machine may be late. */
export const LINGER = 5000;

/**
 * The next step of both devices. Pure. While a key changes (this node's or a peer's), the second device has a session of
 * the next key beside that of the current one on the first; then packets go by the second one; then, with the next key
 * being the key, the first gets it, and they go back. Each side moves when it sees a handshake of its own: what the other
 * still sends by the other device is taken in. At no step is a session ended by which packets go: what would end one
 * waits until they have moved.
 */
export function planSlots(wish: SlotWish, observed: ObservedSlots, now: number): SlotPlan {
  const views = peerViews(wish, observed, now);
  const first = firstDevice(wish, observed, views, now);
  const second = secondDevice(wish, observed, views);
  return {
    first: first.device,
    ...(second === undefined ? {} : { second }),
    ways: new Map(views.map(({ peer, way }) => [peer.name, way])),
    settled: second === undefined && !first.held,
    progress: views.map(({ peer, isNeeded, firstWorks, secondWorks, on }) => ({
      name: peer.name,
      publicKey: peer.publicKey,
      hasTunnel: firstWorks || secondWorks,
      hasMoved: isNeeded && secondWorks && (on === "second" || peer.prefixes.length === 0),
    })),
  };
}

/** How a peer is seen from here. */
interface PeerView {
  readonly peer: SlotPeer;
  /** Its key on the second device; undefined when there is no need for one. */
  readonly needed: PublicKey | undefined;
  /** What the second device has of it: of the needed key, or of another from before. */
  readonly there: PeerState | undefined;
  /** Whether that is where the change that goes on wants it. */
  readonly isNeeded: boolean;
  /** What the first device has of another key of it. */
  readonly former: PeerState | undefined;
  /** Whether packets can go by the first device, with the keys that count now. */
  readonly firstWorks: boolean;
  readonly secondWorks: boolean;
  /** By which device packets go now; undefined when there is no route. */
  readonly on: SlotName | undefined;
  /** By which device they shall go. */
  readonly way: SlotName;
}

function peerViews(wish: SlotWish, observed: ObservedSlots, now: number): PeerView[] {
  const { first, second, routes } = observed;
  const hasFirstKey = hasKey(first, wish.privateKey);
  const hasSecondKey = second === undefined || hasKey(second, wish.nextPrivateKey ?? wish.privateKey);
  const onFirst = new Map(first?.peers.map((entry) => [entry.publicKey, entry]));
  const owners = new Owners(wish.peers);
  const formers = owners.entries(first?.peers ?? [], ({ publicKey }) => [publicKey]);
  const others = owners.entries(second?.peers ?? [], () => []);
  const neededOf = neededKey(wish);
  return wish.peers.map((peer) => {
    const needed = neededOf(peer);
    const entries = others.get(peer) ?? [];
    const there = entries.find(({ publicKey }) => publicKey === needed) ?? entries.find(alive) ?? entries[0];
    const isNeeded = needed !== undefined && there?.publicKey === needed && hasSecondKey;
    const current = onFirst.get(peer.publicKey);
    const firstWorks = hasFirstKey && current !== undefined && alive(current);
    const secondWorks = there !== undefined && alive(there);
    const way = secondWorks && (isNeeded || !firstWorks) ? "second" : "first";
    const former = (formers.get(peer) ?? []).find(alive);
    const on = routeOf(peer, routes);
    return { peer, needed, there, isNeeded, former, firstWorks, secondWorks, on, way };
  });

  function alive(entry: PeerState): boolean {
    return isAlive(entry, now);
  }
}

/** Which key a peer has on the second device, if it has to be there. */
function neededKey({ nextPrivateKey }: SlotWish): (peer: SlotPeer) => PublicKey | undefined {
  return nextPrivateKey === undefined ? ({ nextPublicKey }) => nextPublicKey : ({ publicKey }) => publicKey;
}

/** Whose the entries of a device are: of who has the key, or the prefixes of one whose key nobody knows any more. */
class Owners {
  readonly #byKey = new Map<PublicKey, SlotPeer>();
  readonly #byPrefix = new Map<Prefix, SlotPeer>();

  constructor(peers: readonly SlotPeer[]) {
    for (const peer of peers) {
      this.#byKey.set(peer.publicKey, peer);
      if (peer.nextPublicKey !== undefined) this.#byKey.set(peer.nextPublicKey, peer);
      for (const prefix of peer.prefixes) this.#byPrefix.set(prefix, peer);
    }
  }

  /** The entries of each peer, but for those of the keys that `except` gives for it. */
  entries(
    all: readonly PeerState[],
    except: (peer: SlotPeer) => readonly PublicKey[],
  ): ReadonlyMap<SlotPeer, readonly PeerState[]> {
    const found = new Map<SlotPeer, PeerState[]>();
    for (const entry of all) {
      const peer = this.#of(entry);
      if (peer === undefined || except(peer).includes(entry.publicKey)) continue;
      found.set(peer, [...(found.get(peer) ?? []), entry]);
    }
    return found;
  }

  #of({ publicKey, allowedIPs }: PeerState): SlotPeer | undefined {
    const known = this.#byKey.get(publicKey);
    if (known !== undefined) return known;
    const prefix = allowedIPs.find((one) => this.#byPrefix.has(one));
    return prefix === undefined ? undefined : this.#byPrefix.get(prefix);
  }
}

function routeOf({ prefixes }: SlotPeer, routes: ReadonlyMap<Prefix, SlotName>): SlotName | undefined {
  const slots = new Set(prefixes.map((prefix) => routes.get(prefix)));
  if (slots.has("first")) return "first";
  return slots.has("second") ? "second" : undefined;
}

function firstDevice(
  { privateKey, listenPort, fwmark }: SlotWish,
  { first }: ObservedSlots,
  views: readonly PeerView[],
  now: number,
): { readonly device: WantedDevice; readonly held: boolean } {
  const isOther = first !== undefined && first.privateKey !== undefined && !hasKey(first, privateKey);
  if (isOther && views.some(mustMove)) {
    // Its peers as they are, too: nothing of it is changed while packets still go by it.
    const settings = { privateKey: first.privateKey, listenPort, fwmark, peers: first.peers };
    return { device: { settings, anew: false }, held: true };
  }
  const entries = new Map(first?.peers.map((entry) => [entry.publicKey, entry]));
  const peers = views.map((view): Peer => {
    const { peer, former } = view;
    const base = { allowedIPs: peer.prefixes, persistentKeepalive: firstKeepalive(view) };
    if (former !== undefined && mustMove(view)) return { ...base, publicKey: former.publicKey };
    const before = isOther ? entries.get(peer.publicKey) : former;
    const isKept = before !== undefined && isAlive(before, now) && !peer.isLost;
    const endpoint = (isKept ? before.endpoint : undefined) ?? peer.endpoint;
    return { ...base, publicKey: peer.publicKey, ...(endpoint && { endpoint }) };
  });
  const held = views.some((view) => view.former !== undefined && mustMove(view));
  const lost = new Set(views.flatMap(({ peer }) => (peer.isLost ? [peer.publicKey] : [])));
  const device = { settings: { privateKey, listenPort, fwmark, peers }, anew: isOther };
  return { device: lost.size === 0 ? device : { ...device, lost }, held };
}

/** Whether packets go by the first device though the second one is where they belong. */
function mustMove({ on, way }: PeerView): boolean {
  return on === "first" && way === "second";
}

/** A new session of the first device is begun by a packet, and while packets go by the second one there is none. */
function firstKeepalive({ peer, isNeeded, there, firstWorks }: PeerView): number {
  return !isNeeded && there !== undefined && !firstWorks ? IN_USE : peer.persistentKeepalive;
}

function secondDevice(
  wish: SlotWish,
  { second, quiet }: ObservedSlots,
  views: readonly PeerView[],
): WantedDevice | undefined {
  const privateKey = wish.nextPrivateKey ?? wish.privateKey;
  const base = { listenPort: secondPort(wish.listenPort), fwmark: wish.fwmark };
  const leaving = (all: boolean) =>
    views.flatMap(({ peer, needed, there, way, on }): Peer[] => {
      if (there === undefined || (needed !== undefined && !all)) return [];
      const inUse = way === "second" || on === "second";
      if (!inUse && quiet(there.publicKey) >= LINGER) return [];
      const { publicKey } = there;
      return [{ publicKey, allowedIPs: peer.prefixes, persistentKeepalive: inUse ? IN_USE : 0 }];
    });
  // With another key: of a change that was given up, or of the one before. It is left before it gets the wanted one.
  const isOther = second?.privateKey !== undefined && !hasKey(second, privateKey);
  const staying = isOther ? leaving(true) : [];
  if (isOther && staying.length > 0) {
    return { settings: { ...base, privateKey: second.privateKey, peers: staying }, anew: false };
  }
  const needed = views.flatMap(({ peer, needed: publicKey }): Peer[] => {
    if (publicKey === undefined) return [];
    const endpoint = secondEndpoint(peer.endpoint, peer.port);
    return [{ publicKey, allowedIPs: peer.prefixes, persistentKeepalive: IN_USE, ...(endpoint && { endpoint }) }];
  });
  const peers = isOther ? needed : [...needed, ...leaving(false)];
  return peers.length === 0 ? undefined : { settings: { ...base, privateKey, peers }, anew: isOther };
}

function hasKey(device: DeviceState | undefined, privateKey: Secret): boolean {
  return device !== undefined && sameSecret(clamped(privateKey), device.privateKey);
}
