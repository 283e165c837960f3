import type { IkeSa, Vici } from "vici";
import type { HubConfig } from "../config/hub.ts";
import type { Address } from "../net/address.ts";
import { readText } from "../os/file.ts";
import { Secret } from "../secret.ts";
import { forgetAllArrivals, forgetArrivals, readArrivals, setArrivalsAside } from "./arrivals.ts";
import type { Book } from "./book.ts";
import { Contests, dismiss } from "./contests.ts";
import type { Journal } from "./journal.ts";
import { writeLeaseFile } from "./lease-file.ts";
import { Loader } from "./load.ts";
import { type LeaseTerms, type Observation, observe } from "./observe.ts";
import { wantedOf } from "./wanted.ts";
import { windowOf } from "./window.ts";

/**
 * How many addresses a new charon does not give out before all others: its predecessor may have given them to pods
 * that the hub did not live to write down. They come back and get another one; nobody gets theirs meanwhile.
 */
const SKIPPED = 64;

/** Milliseconds after which charon is brought to what is wanted once more. */
const RELOAD = 30_000;

/**
 * Keeps book, file and charon in agreement. In this order: what charon has done goes into the book, the book onto the
 * disk, and only then is charon given what follows from it. Whom charon has let in since, it writes down itself
 * (`arrivals.ts`). So whoever kills hub and charon at any moment finds each address that a charon may have given in one
 * of the two; and what never got to the disk, as the power failed, is among those which the next charon gives out last.
 */
export class Keeper implements Disposable {
  readonly #loader: Loader;
  readonly #contests: Contests;
  readonly #fixed: ReadonlySet<string> | undefined;
  #window: readonly Address[] = [];
  /** Whether the book says more than the file, or than charon has. */
  #behind = false;
  #loadedAt = 0;
  /** IKE_SAs that were told of as doubles. */
  #doubles: ReadonlySet<number> = new Set();

  /** @param again Asks for another look at charon's SAs. */
  constructor(
    private readonly vici: Vici,
    private readonly config: HubConfig,
    private readonly book: Book,
    private readonly log: Journal,
    again: () => void,
  ) {
    this.#loader = new Loader(vici);
    this.#contests = new Contests(vici, log, again);
    this.#fixed = fixedIdentities(config);
  }

  /**
   * Gives charon its whole configuration; to be called before pods are let in.
   * @param sas What a charon that was taken over has; undefined for a new one.
   * @throws ViciError; Fault 5 when the file cannot be written.
   */
  async begin(sas: readonly IkeSa[] | undefined): Promise<void> {
    this.#tell(observe(this.book, sas ?? [], new Set(), this.#terms()).told);
    if (sas === undefined) {
      this.#rememberArrivals();
      this.#completeEntries();
      if (readText(this.config.leases) !== undefined) this.book.skip(SKIPPED);
    }
    this.#save();
    if (sas === undefined) this.#unlessRefused(() => forgetAllArrivals(this.config.leases));
    await this.#load();
  }

  /** To be called before charon is asked for the SAs that {@link look} gets. */
  beforeLook(): void {
    this.#unlessRefused(() => setArrivalsAside(this.config.leases));
  }

  /**
   * To be called whenever something may have changed, with all of charon's SAs.
   * @param goodbyes Identities, in lower case, that had ended their tunnels themselves before charon was asked.
   * @throws ViciError.
   */
  async look(sas: readonly IkeSa[], goodbyes: ReadonlySet<string>): Promise<void> {
    const seen = observe(this.book, sas, goodbyes, this.#terms());
    this.#tell(seen.told);
    this.#tellDoubles(seen.doubles);
    // What is wanted also depends on how long pods are offline.
    this.#behind ||= seen.changed || performance.now() - this.#loadedAt > RELOAD;
    if (this.#behind && this.#saved()) {
      await this.#load();
      this.#behind = false;
    }
    if (!this.#behind) this.#unlessRefused(() => forgetArrivals(this.config.leases));
    await dismiss(this.vici, [...seen.stale, ...seen.admitted]);
    await this.#contests.consider(seen.contests);
  }

  /** See {@link Contests.heard}. */
  heard(uniqueid: number, msg: string): void {
    this.#contests.heard(uniqueid, msg);
  }

  [Symbol.dispose](): void {
    this.#contests[Symbol.dispose]();
  }

  #tellDoubles(doubles: Observation["doubles"]): void {
    for (const { holder, other } of doubles) {
      if (this.#doubles.has(other.uniqueid)) continue;
      const [id, ip, theirs] = [other.remoteId, other.remoteVips.join(" and "), holder.remoteHost];
      this.log(
        "error",
        `"${id}" at ${other.remoteHost} got ${ip}: a pod with the same identity is online at ${theirs}`,
      );
    }
    this.#doubles = new Set(doubles.map(({ other }) => other.uniqueid));
  }

  /** Pods that charon had let in, and that the hub did not live to write down. */
  #rememberArrivals(): void {
    if (this.#fixed !== undefined) return;
    const { leaseTime, now, wallClock } = this.#terms();
    const offline = { since: wallClock, ...(leaseTime === 0 ? {} : { until: now + leaseTime }) };
    for (const { identity, addresses } of readArrivals(this.config.leases)) {
      if (!this.book.restore({ identity, addresses, offline })) continue;
      this.log("info", `${identity} had got ${addresses.join(" and ")} before the hub was killed`);
    }
  }

  /** A disk on which nothing goes any more must not end a hub that serves. */
  #unlessRefused(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.log("error", `pods that are new: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #completeEntries(): void {
    const now = Date.now();
    const identities = [...this.book.entries().map(({ identity }) => identity), ...configured(this.config)];
    for (const identity of identities) {
      if (this.book.reserve(identity, now)) continue;
      this.log("error", `there is no virtual IP left for ${identity}: make the pool larger`);
    }
  }

  /** A disk that is full must not end a hub that serves: it goes on with what charon has, and tries again. */
  #saved(): boolean {
    try {
      this.#save();
      return true;
    } catch (error) {
      this.log("error", `leases are not saved: ${error instanceof Error ? error.message : String(error)}`);
      return false;
    }
  }

  #save(): void {
    const { now, wallClock } = this.#terms();
    writeLeaseFile(this.config.leases, this.book, (time) => time - now + wallClock);
  }

  async #load(): Promise<void> {
    if (this.config.psks instanceof Secret) this.#window = windowOf(this.book, this.#window);
    const leases = { entries: this.book.entries(), window: this.#window, now: Date.now() };
    await this.#loader.bring(wantedOf(this.config, leases));
    this.#loadedAt = performance.now();
  }

  #terms(): LeaseTerms {
    const leaseTime = this.config.leaseTime * 1000;
    return { leaseTime, now: performance.now(), wallClock: Date.now(), fixed: this.#fixed };
  }

  #tell(lines: readonly string[]): void {
    for (const line of lines) this.log("info", line);
  }
}

function configured({ psks }: HubConfig): string[] {
  return psks instanceof Secret ? [] : psks.map(({ identity }) => identity);
}

/** With a key each, identities are known beforehand. */
function fixedIdentities(config: HubConfig): ReadonlySet<string> | undefined {
  if (config.psks instanceof Secret) return undefined;
  return new Set(config.psks.map(({ identity }) => identity.toLowerCase()));
}
