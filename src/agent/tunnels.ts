import type { Driver } from "../registry/node-record.ts";
import type { KeyChange, TunnelDriver, TunnelState, WantedTunnels } from "./driver.ts";
import { type ApplyContext, DriverKeeper, textOf } from "./driver-keeper.ts";
import type { Counters } from "./http/metrics.ts";
import type { AgentJournal } from "./journal.ts";
import type { Reasons } from "./reasons.ts";
import { guardedMeanwhile } from "./split.ts";
import type { DriverStatus } from "./status.ts";

/** All drivers together. */
export class Tunnels implements AsyncDisposable {
  readonly #keepers: readonly DriverKeeper[];
  readonly #log: AgentJournal;
  #leftovers: readonly TunnelDriver[];
  #hasApplied = false;
  #isAdopting = true;

  /** @param leftovers What an agent with another configuration made: taken away as soon as these guard in its place. */
  constructor(
    drivers: readonly TunnelDriver[],
    leftovers: readonly TunnelDriver[],
    reasons: Reasons,
    log: AgentJournal,
  ) {
    this.#keepers = drivers.map((driver) => new DriverKeeper(driver, reasons, log));
    this.#leftovers = leftovers;
    this.#log = log;
  }

  /** Whether all that were needed have been applied without an error, once. */
  get hasApplied(): boolean {
    return this.#hasApplied;
  }

  /** Those that fail, and since when, by `performance.now()`. */
  get failing(): { readonly driver: string; readonly what: string; readonly since: number }[] {
    return this.#keepers.flatMap(({ name, failure }) =>
      failure === undefined ? [] : [{ driver: name, what: failure.what, since: failure.since }],
    );
  }

  /** All tunnels as they are now, by peer: also those of an agent before this one. */
  async observe(): Promise<ReadonlyMap<string, TunnelState>> {
    const used = this.#keepers.filter((keeper) => keeper.isUsed || this.#isAdopting);
    const states = await Promise.all(used.map((keeper) => keeper.observe()));
    return new Map(states.flatMap((state) => state?.tunnels ?? []).map((tunnel) => [tunnel.name, tunnel]));
  }

  /**
   * Side by side, each driver for itself. What one hands over to another is guarded by both until the other has it.
   */
  async apply(wanted: ReadonlyMap<Driver, WantedTunnels>, context: ApplyContext): Promise<void> {
    const before = new Map(this.#keepers.map((keeper) => [keeper.name, keeper.guarded] as const));
    const needed = this.#keepers.flatMap((keeper) => {
      const wish = wanted.get(keeper.name);
      return wish === undefined ? [] : [{ keeper, wish, meanwhile: guardedMeanwhile(keeper.name, before, wanted) }];
    });
    await Promise.all(
      needed.map(({ keeper, wish, meanwhile }) => {
        return keeper.apply(meanwhile === undefined ? wish : { ...wish, guarded: meanwhile }, context);
      }),
    );
    const superfluous = this.#keepers.filter((keeper) => !wanted.has(keeper.name));
    await Promise.all(superfluous.map((keeper) => (keeper.isUsed || this.#isAdopting ? keeper.remove() : undefined)));
    this.#isAdopting = false;
    const hasCleared = await this.#clear();
    if (hasCleared || needed.some(({ meanwhile }) => meanwhile !== undefined)) {
      // All once more: what one takes away as its own, another may have in common with it.
      for (const { keeper, wish } of needed)
        await keeper.apply(wish, { ...context, basis: "read", cleared: hasCleared });
    }
    this.#hasApplied ||= needed.every(({ keeper }) => keeper.failure === undefined);
  }

  /** @returns Whether something was taken away. What cannot be is tried again with the next apply. */
  async #clear(): Promise<boolean> {
    const failed: TunnelDriver[] = [];
    for (const driver of this.#leftovers) {
      try {
        await driver.remove();
        await driver[Symbol.asyncDispose]();
        this.#log("info", "what another configuration made is removed", { driver: driver.name });
      } catch (error) {
        this.#log("error", "what another configuration made cannot be removed", {
          driver: driver.name,
          error: textOf(error),
        });
        failed.push(driver);
      }
    }
    const hasCleared = failed.length < this.#leftovers.length;
    this.#leftovers = failed;
    return hasCleared;
  }

  /** Of the drivers that are used, and have something to wait for; undefined for one that fails: it must be waited for. */
  keyChanges(): (KeyChange | undefined)[] {
    const used = this.#keepers.filter(({ isUsed }) => isUsed);
    return used.flatMap((keeper) => keeper.keyChange() ?? (keeper.failure === undefined ? [] : [undefined]));
  }

  status(): DriverStatus[] {
    return this.#keepers.map((keeper) => keeper.status());
  }

  counters(): Pick<Counters, "applies" | "applyErrors"> {
    const counted = this.#keepers.map((keeper) => keeper.counters());
    return {
      applies: counted.map(({ durations }) => durations).filter(({ count }) => count > 0),
      applyErrors: counted.map(({ errors }) => errors),
    };
  }

  /** Lets go of all, and cuts nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#keepers, ...this.#leftovers].map((one) => one[Symbol.asyncDispose]()));
  }
}
