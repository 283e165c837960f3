import type { PlannedPeer } from "../mesh/mesh-plan.ts";
import type { Address } from "../net/address.ts";
import type { Endpoint } from "../net/endpoint.ts";
import type { TunnelState } from "./driver.ts";
import { chooseEndpoint, type EndpointMemory } from "./endpoints.ts";
import { type Evidence, judged, type Verdict } from "./liveness.ts";
import type { Health } from "./probe/health.ts";

/** What is known of a peer. */
export interface PeerView {
  readonly peer: PlannedPeer;
  readonly verdict: Verdict;
  /** When its state became what it is, in milliseconds since 1970. */
  readonly since: number;
  /** As its driver had it last. */
  readonly tunnel?: TunnelState;
}

/** A peer whose state is another one now. */
export interface StateChange {
  readonly view: PeerView;
  readonly from: Health;
  readonly to: Health;
}

/** What a look at all peers needs. */
export interface LookInput {
  readonly tunnels: ReadonlyMap<string, TunnelState>;
  readonly health: (name: string) => Health;
  readonly isDoubtful: (name: string) => boolean;
  readonly isHeard: (name: string) => boolean;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** What {@link PeerBook.choose} found. */
export interface Choices {
  /** By the peer's name. */
  readonly endpoints: ReadonlyMap<string, Endpoint>;
  /** Peers for which another try has just begun, at another endpoint or the same. */
  readonly moved: readonly { readonly name: string; readonly endpoint: Endpoint }[];
  /** Host names to resolve. */
  readonly names: ReadonlySet<string>;
  /** When to choose again at the latest, by the clock of `now`. */
  readonly askAt?: number;
}

interface Entry {
  readonly peer: PlannedPeer;
  readonly verdict: Verdict;
  readonly since: number;
  readonly evidence: Evidence;
  readonly tunnel?: TunnelState;
  readonly memory?: EndpointMemory;
  readonly endpoint?: Endpoint;
}

const NEW: Pick<Entry, "verdict" | "evidence"> = { verdict: { state: "unknown", alive: undefined }, evidence: {} };

/** All peers of the plan: how they are, and where they are tried. Reads no clock. */
export class PeerBook {
  #entries: ReadonlyMap<string, Entry> = new Map();

  /** From now on these, and no other. A peer that has another driver now is a new one. @param now As {@link LookInput.now}. */
  set(peers: readonly PlannedPeer[], now: number): void {
    const before = this.#entries;
    this.#entries = new Map(
      peers.map((peer) => {
        const entry = before.get(peer.name);
        const kept = entry?.peer.driver === peer.driver ? entry : undefined;
        return [peer.name, kept === undefined ? { peer, since: now, ...NEW } : { ...kept, peer }];
      }),
    );
  }

  /** Judges all anew. */
  look({ tunnels, health, isDoubtful, isHeard, now }: LookInput): StateChange[] {
    const changes: StateChange[] = [];
    const judgedAll = [...this.#entries].map(([name, before]): [string, Entry] => {
      const { tunnel: _, ...rest } = before;
      const tunnel = tunnels.get(name);
      const probed = before.peer.probes.length > 0;
      const signs = { health: health(name), doubtful: isDoubtful(name), heard: isHeard(name) };
      const look = { ...signs, probed, tunnel, now };
      const [verdict, evidence] = judged(before.evidence, look);
      const isChange = verdict.state !== before.verdict.state;
      const entry = { ...rest, verdict, evidence, since: isChange ? now : before.since, ...(tunnel && { tunnel }) };
      if (isChange) changes.push({ view: entry, from: before.verdict.state, to: verdict.state });
      return [name, entry];
    });
    this.#entries = new Map(judgedAll);
    return changes;
  }

  /** Chooses all endpoints anew. @param now In milliseconds, of a clock that does not jump. */
  choose(resolved: ReadonlyMap<string, readonly Address[]>, now: number): Choices {
    const endpoints = new Map<string, Endpoint>();
    const moved: { name: string; endpoint: Endpoint }[] = [];
    const names = new Set<string>();
    let askAt = Number.POSITIVE_INFINITY;
    const chosen = [...this.#entries].map(([name, before]): [string, Entry] => {
      const { peer, verdict, tunnel, memory } = before;
      const { alive } = verdict;
      const input = {
        candidates: peer.candidates,
        port: portOf(peer),
        resolved,
        alive,
        current: tunnel?.endpoint,
        now,
      };
      const choice = chooseEndpoint(memory, input);
      const { endpoint } = choice;
      if (endpoint !== undefined) endpoints.set(name, endpoint);
      const isNewTry = choice.memory.searching && choice.memory !== memory;
      if (endpoint !== undefined && isNewTry) moved.push({ name, endpoint });
      for (const host of choice.names) names.add(host);
      askAt = Math.min(askAt, choice.askAt ?? askAt);
      return [name, { ...before, memory: choice.memory, ...(endpoint && { endpoint }) }];
    });
    this.#entries = new Map(chosen);
    return { endpoints, moved, names, ...(Number.isFinite(askAt) && { askAt }) };
  }

  /** Those that are held for dead. */
  down(): ReadonlySet<string> {
    const dead = [...this.#entries.values()].filter(({ verdict }) => verdict.state === "down");
    return new Set(dead.map(({ peer }) => peer.name));
  }

  /** Whether it is known that nothing comes from a peer. */
  isLost(name: string): boolean {
    return this.#entries.get(name)?.verdict.alive === false;
  }

  /** In the order of the plan. */
  views(): PeerView[] {
    return [...this.#entries.values()];
  }
}

/** UDP port that goes with a peer's candidates. IKE moves on to 4500 by itself (RFC 3947). */
function portOf({ wireguard }: PlannedPeer): number {
  return wireguard?.port ?? IKE_PORT;
}

const IKE_PORT = 500;
