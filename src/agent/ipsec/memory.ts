import type { HeldSa } from "../../ipsec/mesh-held.ts";
import { type MeshName, meshNameText } from "../../ipsec/mesh-name.ts";
import type { PeerProgress } from "../../ipsec/mesh-plan.ts";
import type { KeyChange } from "../driver.ts";

/** Milliseconds that the other side gets to replace a tunnel that is not as wanted. */
const LATE = 10_000;
/** Milliseconds after which a tunnel that carries what is another peer's by now is in its way. */
const OVERDUE = 1000;
/** Milliseconds that peers get to come by themselves to a charon that has just been started. */
const LOST = 700;
/** Milliseconds that packets are on their way at most, with what a busy charon has not looked at yet. */
const ON_THE_WAY = 1000;
/** Milliseconds between two tries of one connection, at first and at most. */
const FIRST_RETRY = 1000;
const LAST_RETRY = 30_000;
/** Milliseconds until the next look at what is on its way: soon at first, and not at all when it takes that long. */
const SOON = 200;
const SOON_FOR = 5000;
const LATER = 1000;
const LATER_FOR = 60_000;
/** Milliseconds for which what others have in their firewalls is not looked at again. */
const FORWARDING = 25_000;

/**
 * What a driver knows from one apply to the next. None of it is needed to go on after a restart: it is found out again, or
 * waited for a little longer.
 */
export class Memory {
  readonly #now: () => number;
  readonly #unsettled = new Map<string, number>();
  readonly #tries = new Map<string, { readonly count: number; readonly at: number }>();
  readonly #called = new Set<string>();
  readonly #reasons = new Map<string, string>();
  /** When tunnels that take the place of others were seen first, by the SA's uniqueid. */
  readonly #seen = new Map<number, number>();
  #startedAt: number | undefined;
  #progress: readonly (PeerProgress & { readonly name: string })[] | undefined;
  #forwarding: { readonly key: string; readonly at: number; readonly obstacles: readonly string[] } | undefined;
  #names: ReadonlyMap<string, string> = new Map();

  /** @param now In milliseconds, of a clock that does not jump. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Charon was started just now: what it had before, it has lost. */
  started(): void {
    this.#startedAt = this.#now();
    this.#called.clear();
    this.#tries.clear();
    this.#seen.clear();
  }

  readonly isLost = (peer: string): boolean => {
    const { age } = this;
    return age !== undefined && age >= LOST && !this.#called.has(peer);
  };

  readonly isLate = (peer: string): boolean => this.#unsettledFor(peer) >= LATE;
  readonly isOverdue = (peer: string): boolean => this.#unsettledFor(peer) >= OVERDUE;

  readonly isProven = ({ uniqueid }: HeldSa): boolean => {
    const now = this.#now();
    const since = this.#seen.get(uniqueid) ?? now;
    this.#seen.set(uniqueid, since);
    return now - since >= ON_THE_WAY;
  };

  readonly isTried = (name: MeshName): boolean => {
    const before = this.#tries.get(meshNameText(name));
    if (before === undefined) return false;
    return this.#now() - before.at < Math.min(FIRST_RETRY * 2 ** (before.count - 1), LAST_RETRY);
  };

  /** That connection is tried now. */
  tries(name: MeshName): void {
    const text = meshNameText(name);
    this.#tries.set(text, { count: (this.#tries.get(text)?.count ?? 0) + 1, at: this.#now() });
    this.#called.add(name.peer);
  }

  /** Why a peer gave no tunnel. */
  refused(peer: string, reason: string): void {
    this.#reasons.set(peer, reason);
  }

  /** What is in the way of peers that have had none for a while. */
  get reasons(): string[] {
    return [...this.#reasons].filter(([peer]) => this.isLate(peer)).map(([, reason]) => reason);
  }

  /** How far all peers are. @param names Their names, by label. */
  note(progress: readonly PeerProgress[], names: ReadonlyMap<string, string>): void {
    const now = this.#now();
    this.#names = names;
    this.#progress = progress.map((one) => ({ ...one, name: names.get(one.peer) ?? one.peer }));
    const unsettled = new Set(progress.filter(({ isSettled }) => !isSettled).map(({ peer }) => peer));
    for (const peer of [...this.#unsettled.keys()]) if (!unsettled.has(peer)) this.#unsettled.delete(peer);
    for (const peer of unsettled) if (!this.#unsettled.has(peer)) this.#unsettled.set(peer, now);
    if (unsettled.size === 0) this.#seen.clear();
    for (const peer of [...this.#reasons.keys()]) if (!unsettled.has(peer)) this.#reasons.delete(peer);
    const right = new Set(progress.filter(({ isRight }) => isRight).map(({ peer }) => peer));
    for (const text of [...this.#tries.keys()]) {
      if ([...right].some((peer) => text.startsWith(`mesh-${peer}.`))) this.#tries.delete(text);
    }
  }

  /** Name of a peer, by its label. */
  nameOf(label: string): string {
    return this.#names.get(label) ?? label;
  }

  /** Milliseconds until the next look; undefined when there is nothing to wait for. */
  get again(): number | undefined {
    const now = this.#now();
    const { age } = this;
    if (age !== undefined && age < LOST && this.#progress?.some(({ hasTunnel }) => !hasTunnel)) return LOST - age + 1;
    const youngest = Math.max(...this.#unsettled.values());
    if (now - youngest < SOON_FOR) return SOON;
    return now - youngest < LATER_FOR ? LATER : undefined;
  }

  /** Whether what a dead charon left in the kernel is of no more use. */
  get hasRecovered(): boolean {
    const { age } = this;
    return this.#progress?.every(({ isRight }) => isRight) === true || age === undefined || age >= LATER_FOR;
  }

  keyChange(): KeyChange | undefined {
    return (
      this.#progress && {
        atRest: this.#progress.every(({ isSettled, hasTunnel }) => isSettled || !hasTunnel),
        peers: this.#progress.map(({ name, hasTunnel, isRight, isSettled }) => {
          return { name, hasTunnel, hasMoved: isRight && isSettled };
        }),
      }
    );
  }

  /** What is in the way of forwarding: looked at again when something else is asked for, and now and then. */
  async forwarding(key: string, look: () => Promise<readonly string[]>): Promise<readonly string[]> {
    const known = this.#forwarding;
    const now = this.#now();
    if (known !== undefined && known.key === key && now - known.at < FORWARDING) return known.obstacles;
    const obstacles = await look();
    this.#forwarding = { key, at: now, obstacles };
    return obstacles;
  }

  /** Milliseconds since charon was started by this driver. */
  get age(): number | undefined {
    return this.#startedAt === undefined ? undefined : this.#now() - this.#startedAt;
  }

  #unsettledFor(peer: string): number {
    const since = this.#unsettled.get(peer);
    return since === undefined ? 0 : this.#now() - since;
  }
}
