import type { Address } from "../../net/address.ts";
import { sameItems } from "../../net/same-items.ts";
import type { Health, HealthLimits } from "./health.ts";
import { decodeProbePacket, encodeProbePacket } from "./packet.ts";
import { bitsFrom, type Received, received } from "./received.ts";
import { type Pace, type ProbeReport, Track } from "./track.ts";

/** A peer that is to be probed. */
export interface ProbedPeer {
  readonly name: string;
  /** Its own addresses in the mesh; a peer without one is not probed. */
  readonly probes: readonly Address[];
}

/** A packet that is to be sent to the probe's port of an address. */
export interface Outgoing {
  readonly address: Address;
  readonly bytes: Uint8Array;
}

/** A peer whose health is another one now. */
export interface HealthChange {
  readonly name: string;
  readonly from: Health;
  readonly to: Health;
}

/** All peers' probes, and the answers to theirs. Opens no socket and reads no clock: times are in milliseconds. */
export class ProbeTable {
  readonly #tracks = new Map<string, Track>();
  readonly #owners = new Map<Address, string>();
  readonly #received = new Map<string, Received>();
  readonly #told = new Map<string, Health>();
  readonly #changed = new Set<string>();
  #doubtful: ReadonlySet<string> = new Set();
  #hasNewDoubts = false;

  /** @param session Random: an agent that is started again is another one to its peers. */
  constructor(
    private readonly session: number,
    private readonly pace: Pace,
    private readonly limits: HealthLimits,
  ) {}

  /** From now on these peers, and no other. What is known of one that stays is kept, unless its addresses changed. */
  set(peers: readonly ProbedPeer[], now: number): void {
    const probed = peers.filter(({ probes }) => probes.length > 0);
    const names = new Set(probed.map(({ name }) => name));
    for (const name of this.#tracks.keys()) if (!names.has(name)) this.#forget(name);
    this.#owners.clear();
    for (const [index, { name, probes }] of probed.entries()) {
      for (const address of probes) this.#owners.set(address, name);
      if (sameItems(this.#tracks.get(name)?.addresses ?? [], probes)) continue;
      // Not all at the same moment.
      const first = now + (this.pace.interval * (index % PHASES)) / PHASES;
      this.#tracks.set(name, new Track(probes, this.session, this.pace, this.limits, first));
    }
  }

  /** Nothing is sent any more to whoever is not among these, be it an answer. */
  keep(names: ReadonlySet<string>): void {
    for (const name of this.#tracks.keys()) if (!names.has(name)) this.#forget(name);
    for (const [address, name] of this.#owners) if (!names.has(name)) this.#owners.delete(address);
  }

  /** What is to be sent now; to be called four times a second. */
  tick(now: number): Outgoing[] {
    const outgoing: Outgoing[] = [];
    const doubtful = new Set<string>();
    for (const [name, track] of this.#tracks) {
      if (track.rests(now)) continue;
      const due = track.tick(now);
      this.#note(name, track);
      if (track.isDoubtful) doubtful.add(name);
      if (due === undefined) continue;
      outgoing.push({ address: due.address, bytes: encodeProbePacket({ type: "probe", ...due.probe }) });
    }
    this.#hasNewDoubts ||= [...doubtful].some((name) => !this.#doubtful.has(name));
    this.#doubtful = doubtful;
    return outgoing;
  }

  /** Whether an answer of somebody is late who was in time when this was asked before. */
  hasNewDoubts(): boolean {
    const has = this.#hasNewDoubts;
    this.#hasNewDoubts = false;
    return has;
  }

  /**
   * Takes a packet that came from the probe's port of `from`. Whoever is no peer hears nothing.
   * @param clock What to tell a peer of this node's clock: milliseconds since 1970.
   * @returns The answer that it wants, as long as the question.
   */
  take(bytes: Uint8Array, from: Address, now: number, clock: number): Uint8Array | undefined {
    const name = this.#owners.get(from);
    const packet = name === undefined ? undefined : decodeProbePacket(bytes);
    if (name === undefined || packet === undefined) return undefined;
    const track = this.#tracks.get(name);
    if (packet.type === "answer") {
      track?.answered(packet, from, now);
      if (track !== undefined) this.#note(name, track);
      return undefined;
    }
    track?.heard(now);
    const state = received(this.#received.get(name), packet);
    this.#received.set(name, state);
    return encodeProbePacket({ ...packet, type: "answer", received: bitsFrom(state, packet.sequence), clock });
  }

  /** What has changed since the last call. */
  changes(): HealthChange[] {
    const names = [...this.#changed];
    this.#changed.clear();
    return names.flatMap((name) => {
      const [from, to] = [this.#told.get(name) ?? "unknown", this.health(name)];
      this.#told.set(name, to);
      return from === to ? [] : [{ name, from, to }];
    });
  }

  health(name: string): Health {
    return this.#tracks.get(name)?.health ?? "unknown";
  }

  /** See {@link Track.isHeard}. */
  isHeard(name: string, now: number): boolean {
    return this.#tracks.get(name)?.isHeard(now) ?? false;
  }

  /** Whether an answer is late, and it is not known yet what that means. */
  isDoubtful(name: string): boolean {
    return this.#tracks.get(name)?.isDoubtful ?? false;
  }

  /** Undefined for whoever is not probed. */
  report(name: string, now: number): ProbeReport | undefined {
    return this.#tracks.get(name)?.report(now);
  }

  /** See {@link Track.hurry}. */
  hurry(name: string, now: number): void {
    this.#tracks.get(name)?.hurry(now);
  }

  /** See {@link Track.forgive}. */
  forgive(lost: number): void {
    for (const track of this.#tracks.values()) track.forgive(lost);
  }

  #note(name: string, { health }: Track): void {
    if (health !== (this.#told.get(name) ?? "unknown")) this.#changed.add(name);
  }

  #forget(name: string): void {
    this.#tracks.delete(name);
    this.#changed.delete(name);
    this.#received.delete(name);
    this.#told.delete(name);
  }
}

/** Ticks of an interval over which peers are spread. */
const PHASES = 4;
