import { Fault } from "../fault.ts";
import type { Prefix } from "../net/prefix.ts";
import type { Driver } from "../registry/node-record.ts";
import { backOff } from "./back-off.ts";
import type { Applied, ApplyBasis, DriverState, KeyChange, TunnelDriver, WantedTunnels } from "./driver.ts";
import { DURATION_BOUNDS, Histogram } from "./http/histogram.ts";
import type { AgentJournal } from "./journal.ts";
import type { Reasons } from "./reasons.ts";
import type { DriverStatus } from "./status.ts";

/** Why a driver does not work. */
export interface Failure {
  readonly what: string;
  /** By `performance.now()`. */
  readonly since: number;
  readonly sinceTime: Date;
  /** In a row. */
  readonly count: number;
  /** By `performance.now()`: not before that, unless something else is wanted by then. */
  readonly retryAt: number;
}

/** What an apply is for. */
export interface ApplyContext {
  /** Whether the plan is another one than before: then it has told what changes. */
  readonly planned: boolean;
  /** Whether peers are tried at other endpoints than before: this alone is no reason to try again what has just failed. */
  readonly moved?: boolean;
  /** Whether what stood in its way has just been taken away. */
  readonly cleared?: boolean;
  /** See {@link ApplyBasis}; "read" unless told. */
  readonly basis?: ApplyBasis;
}

/** One driver, whatever happens to it: nothing here throws, and everything that fails is tried again. */
export class DriverKeeper implements AsyncDisposable {
  readonly #driver: TunnelDriver;
  readonly #reasons: Reasons;
  readonly #log: AgentJournal;
  readonly #over = new AbortController();
  readonly #durations = new Histogram(DURATION_BOUNDS);
  #watch: Promise<void> | undefined;
  #died = false;
  #used = false;
  /** Whether there is a device or daemon that an apply has made or found. */
  #hasWorked = false;
  #wanted: WantedTunnels | undefined;
  #failure: Failure | undefined;
  #errors = 0;
  #restarts = 0;
  #obstacles: readonly string[] = [];
  /** Keys change, in several steps. */
  #isStepping = false;
  #state: DriverState | undefined;

  constructor(driver: TunnelDriver, reasons: Reasons, log: AgentJournal) {
    this.#driver = driver;
    this.#reasons = reasons;
    this.#log = log;
  }

  get name(): Driver {
    return this.#driver.name;
  }

  /** Whether it has been applied, by this agent. */
  get isUsed(): boolean {
    return this.#used;
  }

  get failure(): Failure | undefined {
    return this.#failure;
  }

  /** What it guards since the last apply that was tried. */
  get guarded(): readonly Prefix[] {
    return this.#wanted?.guarded ?? [];
  }

  /** Brings it to what is wanted. One that has just failed is left alone for a while, unless the plan is another one. */
  async apply(wanted: WantedTunnels, context: ApplyContext): Promise<void> {
    const { planned, moved = false, cleared = false, basis = "read" } = context;
    const isNew = (planned && this.#wanted !== wanted) || this.#died || cleared;
    const isKnown = this.#failure === undefined && !this.#died && !cleared && !this.#isStepping;
    if (!isNew && this.#failure !== undefined && performance.now() < this.#failure.retryAt) return;
    this.#wanted = wanted;
    this.#used = true;
    this.#died = false;
    const began = performance.now();
    try {
      const applied = await this.#driver.apply(wanted, isKnown ? basis : "read");
      this.#durations.observe((performance.now() - began) / 1000);
      this.#succeeded(applied, planned || moved);
      this.#watchOver();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** As it is now; undefined when there is none, or it cannot be read. */
  async observe(): Promise<DriverState | undefined> {
    try {
      this.#state = await this.#driver.observe();
    } catch (error) {
      this.#log("debug", "driver cannot be observed", { driver: this.name, error: textOf(error) });
      this.#state = undefined;
    }
    return this.#state;
  }

  /** Takes all of it away, if there is anything. */
  async remove(): Promise<void> {
    if (!this.#used && (await this.observe()) === undefined) return;
    try {
      await this.#driver.remove();
      this.#log("info", "driver removed: it has no peers any more", { driver: this.name });
      this.#used = false;
      this.#hasWorked = false;
      this.#wanted = undefined;
      this.#failure = undefined;
      this.#obstacles = [];
      this.#state = undefined;
    } catch (error) {
      this.#failed(error);
    }
  }

  /** How far a change of keys is; undefined where there is nothing to wait for. */
  keyChange(): KeyChange | undefined {
    return this.#used ? this.#driver.keyChange?.() : undefined;
  }

  status(): DriverStatus {
    const failure = this.#failure;
    return {
      name: this.name,
      state: !this.#used ? "unused" : failure === undefined ? "working" : "failing",
      ...(this.#state && { dataPlane: this.#state.dataPlane }),
      peers: this.#wanted?.tunnels.length ?? 0,
      ...(failure && {
        error: { what: failure.what, since: failure.sinceTime.toISOString(), failures: failure.count },
      }),
      obstacles: this.#obstacles,
      restarts: this.#restarts,
    };
  }

  /** For metrics. */
  counters() {
    const labels = { driver: this.name };
    return { durations: this.#durations.sample(labels), errors: { labels, value: this.#errors } };
  }

  /** Lets go of it, and cuts nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await this.#watch;
    await this.#driver[Symbol.asyncDispose]();
  }

  /** @param foreseen Whether there is a reason for what it has changed. */
  #succeeded(applied: Applied, foreseen: boolean): void {
    const { made, altered, removed, started, obstacles, again } = applied;
    const driver = this.name;
    const isExpected = foreseen || this.#isStepping || again !== undefined;
    this.#isStepping = again !== undefined;
    if (again !== undefined) this.#reasons.addLater("rotation", again);
    const changed = { made: listed(made), altered: listed(altered), removed: listed(removed) };
    const isChange = made.length + altered.length + removed.length > 0;
    if (started) {
      // Whoever was first to see it: the watch, or this apply.
      const isAgain = this.#hasWorked;
      if (isAgain) this.#restarts += 1;
      this.#log("info", isAgain ? "driver was started again" : "driver was started", { driver, ...changed });
    } else if (isChange) {
      // What the plan brings it has told itself, endpoints are tried in silence; anything else somebody has broken.
      if (isExpected) this.#log("debug", "tunnels applied", { driver, ...changed });
      else this.#log("info", "tunnels were not as they should be, and are again", { driver, ...changed });
    }
    if (this.#failure !== undefined) this.#log("info", "driver works again", { driver, failures: this.#failure.count });
    this.#failure = undefined;
    this.#hasWorked = true;
    for (const obstacle of obstacles) {
      if (!this.#obstacles.includes(obstacle)) this.#log("error", obstacle, { driver });
    }
    this.#obstacles = obstacles;
  }

  #failed(error: unknown): void {
    this.#errors += 1;
    const what = textOf(error);
    const before = this.#failure;
    const count = (before?.count ?? 0) + 1;
    const pause = backOff(count);
    const now = performance.now();
    this.#failure = {
      what,
      since: before?.since ?? now,
      sinceTime: before?.sinceTime ?? new Date(),
      count,
      retryAt: now + pause,
    };
    if (before?.what !== what) this.#log("error", "driver fails", { driver: this.name, error: what });
    this.#reasons.addLater("retry", pause);
  }

  #watchOver(): void {
    const { signal } = this.#over;
    this.#watch ??= this.#driver.died(signal).then((how) => {
      this.#watch = undefined;
      if (how === "aborted" || signal.aborted) return;
      this.#died = true;
      this.#log("error", "driver died", { driver: this.name });
      this.#reasons.add("died");
    });
  }
}

/** What is wrong and the remedy; never more than one line. */
export function textOf(error: unknown): string {
  if (error instanceof Fault) return error.message;
  if (error instanceof AggregateError) return error.errors.map(textOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}

function listed(names: readonly string[]): string | undefined {
  if (names.length === 0) return undefined;
  const shown = names.slice(0, 10).join(",");
  return names.length > 10 ? `${shown},… (${names.length})` : shown;
}
