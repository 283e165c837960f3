import type { Address } from "../../net/address.ts";
import { type Health, type HealthLimits, nextHealth, PROOF } from "./health.ts";
import type { Answer, Probe } from "./packet.ts";
import { measured, patienceFor, type RoundTrip } from "./round-trip.ts";
import { type Loss, lossOf, type Sent, sinceLoss, type Window, withAnswer, withLost, withSent } from "./window.ts";

/** How often a peer is probed. In milliseconds. */
export interface Pace {
  /** While all is well. */
  readonly interval: number;
  /** While an answer is late, or the first one has come: a peer that is down or back is known sooner, and more surely. */
  readonly doubt: number;
  /** When it has been down for {@link DOWN_LONG}: it says itself when it is back. */
  readonly rest: number;
}

/** In milliseconds. */
const DOWN_LONG = 30_000;

/** What is known of a peer. */
export interface ProbeReport {
  readonly health: Health;
  /** Absent until the first answer. */
  readonly roundTrip?: RoundTrip;
  /** Absent until the fate of a probe is known. */
  readonly loss?: Loss;
  /** Mesh addresses that have not answered for as long as makes a peer down, while another one has. */
  readonly silent: readonly Address[];
  /** What the peer's clock says now, as its last answer told it: milliseconds since 1970, to a second. */
  readonly clock?: number;
}

/**
 * The probes to one peer: sends nothing itself, and reads no clock. The peer's addresses take turns, with one sequence
 * for all: a family that does not pass is loss, and is named.
 */
export class Track {
  #window: Window = [];
  #roundTrip: RoundTrip | undefined;
  #health: Health = "unknown";
  #sequence = -1;
  #firstAt: number | undefined;
  #answeredAt: number | undefined;
  #heardAt: number | undefined;
  #clock: { readonly told: number; readonly at: number } | undefined;
  #downAt = 0;
  #nextAt: number;
  readonly #answeredBy = new Map<Address, number>();
  /** Until then a tick finds nothing to do, unless something happens. */
  #restsUntil = Number.NEGATIVE_INFINITY;

  /** @param first When the first probe is due. */
  constructor(
    readonly addresses: readonly Address[],
    private readonly session: number,
    private readonly pace: Pace,
    private readonly limits: HealthLimits,
    first: number,
  ) {
    this.#nextAt = first;
  }

  /** Whether a tick would find nothing to do: with a thousand peers that are well nearly all of them would. */
  rests(now: number): boolean {
    return now < this.#restsUntil;
  }

  /** The probe that is due now, and where it goes; to be called at least four times a second. */
  tick(now: number): { readonly address: Address; readonly probe: Probe } | undefined {
    const due = this.#tick(now);
    this.#rest();
    return due;
  }

  #tick(now: number): { readonly address: Address; readonly probe: Probe } | undefined {
    this.#window = withLost(this.#window, now, patienceFor(this.#roundTrip));
    this.#judge(now);
    if (now >= this.#nextAt) this.#plan(now);
    else if (!this.#isChanging || now - this.#lastSentAt() < this.pace.doubt) return undefined;
    this.#sequence = (this.#sequence + 1) >>> 0;
    const address = this.addresses[this.#sequence % this.addresses.length];
    if (address === undefined) return undefined;
    this.#firstAt ??= now;
    this.#window = withSent(this.#window, this.#sequence, now);
    return { address, probe: { session: this.session, sequence: this.#sequence, sentAt: microseconds(now) } };
  }

  /** An answer that came. One of an earlier session, or that was not asked for, is nothing. */
  answered(answer: Answer, from: Address, now: number): void {
    const sent = this.#window.find(({ sequence }) => sequence === answer.sequence);
    if (answer.session !== this.session || sent === undefined || sent.state === "answered") return;
    // By our own notes: a peer that invents a time makes nothing of it. One that was given up waited for the tunnel.
    if (sent.state === "waiting") this.#roundTrip = measured(this.#roundTrip, now - sent.at);
    this.#answeredAt = now;
    this.#answeredBy.set(from, now);
    if (answer.clock !== undefined) this.#clock = { told: answer.clock, at: now };
    this.#window = withAnswer(this.#window, answer.sequence, answer.received);
    // When a tunnel comes up, all that waited for it comes together: that is looked at when it is all there.
    if (this.#health !== "down") this.#judge(now);
    this.#rest();
  }

  /** A probe of the peer's own has come: so at least its packets come here. */
  heard(now: number): void {
    this.#heardAt = now;
    this.hurry(now);
  }

  /** Whether the peer's own probes come though ours are not answered: what came before that says nothing. */
  isHeard(now: number): boolean {
    const heard = this.#heardAt;
    const silentFrom = this.#answeredAt ?? this.#firstAt;
    if (heard === undefined || silentFrom === undefined) return false;
    return heard - silentFrom > 1.25 * this.pace.interval && now - heard < 1.25 * this.pace.rest;
  }

  /** Probes at once: there is another way to the peer, or it has just said something. */
  hurry(now: number): void {
    if (this.#health !== "down") return;
    this.#nextAt = Math.min(this.#nextAt, now);
    this.#rest();
  }

  /** Time that passed while we ourselves were stopped: no silence of the peer's. @param lost Milliseconds. */
  forgive(lost: number): void {
    this.#window = this.#window.map((one) => (one.state === "waiting" ? { ...one, at: one.at + lost } : one));
    if (this.#firstAt !== undefined) this.#firstAt += lost;
    if (this.#answeredAt !== undefined) this.#answeredAt += lost;
    if (this.#heardAt !== undefined) this.#heardAt += lost;
    for (const [address, at] of this.#answeredBy) this.#answeredBy.set(address, at + lost);
    this.#rest();
  }

  /** Whether something is overdue, and it is not known yet that the peer is down. */
  get isDoubtful(): boolean {
    return this.#health !== "down" && this.#last === "lost";
  }

  /** What became of the newest probe whose fate is known. */
  get #last(): Sent["state"] | undefined {
    return this.#window.findLast(({ state }) => state !== "waiting")?.state;
  }

  get health(): Health {
    return this.#health;
  }

  report(now: number): ProbeReport {
    const loss = lossOf(this.#window);
    const isSilent = (address: Address) =>
      now - (this.#answeredBy.get(address) ?? this.#firstAt ?? now) >= SILENT_AFTER;
    return {
      health: this.#health,
      ...(this.#roundTrip === undefined ? {} : { roundTrip: this.#roundTrip }),
      ...(loss === undefined ? {} : { loss }),
      silent: this.#health === "down" ? [] : this.addresses.filter(isSilent),
      // Goes on by a clock that nobody sets: so it is seen when this node's is set, also while the peer is not heard.
      ...(this.#clock && { clock: this.#clock.told + now - this.#clock.at }),
    };
  }

  #judge(now: number): void {
    const before = this.#health;
    const answers = this.#window.filter(({ state }) => state !== "waiting").map(({ state }) => state === "answered");
    const silence = this.#firstAt === undefined ? 0 : now - (this.#answeredAt ?? this.#firstAt);
    this.#health = nextHealth(before, { silence, everAnswered: this.#answeredAt !== undefined, answers }, this.limits);
    if (this.#health === before) return;
    if (this.#health === "down") this.#downAt = now;
    // What was lost while there was no tunnel says nothing of how it is now.
    if (before !== "degraded" && this.#health === "up") this.#window = sinceLoss(this.#window);
    if (before === "down" && this.#health === "degraded") this.#window = this.#window.slice(-PROOF);
  }

  /** Until the next probe, until an answer is late, or until the peer has been silent for too long: whatever is first. */
  #rest(): void {
    const waiting = this.#window.find(({ state }) => state === "waiting");
    const lateAt = waiting === undefined ? Number.POSITIVE_INFINITY : waiting.at + patienceFor(this.#roundTrip);
    const downAt = (this.#answeredAt ?? this.#firstAt ?? Number.POSITIVE_INFINITY) + this.limits.downAfter;
    const isBusy = this.#isChanging || this.#health === "down";
    this.#restsUntil = isBusy ? Number.NEGATIVE_INFINITY : Math.min(this.#nextAt, lateAt, downAt);
  }

  /** Whether the health may be another one soon: then it is asked for faster. */
  get #isChanging(): boolean {
    return this.#health === "down" ? this.#last === "answered" : this.#last === "lost";
  }

  #lastSentAt(): number {
    return this.#window.at(-1)?.at ?? Number.NEGATIVE_INFINITY;
  }

  #plan(now: number): void {
    const { interval, rest } = this.pace;
    const pause = this.#health === "down" && now - this.#downAt > DOWN_LONG ? rest : interval;
    // Keeps its beat, unless it has missed one.
    this.#nextAt = now - this.#nextAt < interval ? this.#nextAt + pause : now + pause;
  }
}

/** Of one address, in milliseconds: they take turns, so each is asked half as often. */
const SILENT_AFTER = 5000;

function microseconds(milliseconds: number): bigint {
  return BigInt(Math.round(milliseconds * 1000));
}
