import type { Refusal, Registry, RegistryState } from "../registry/registry.ts";
import { backOff } from "./back-off.ts";
import { textOf } from "./driver-keeper.ts";
import type { AgentJournal } from "./journal.ts";

/** Follows the registry, and keeps what it had last. */
export class RegistryFollower {
  readonly #registry: Registry;
  readonly #log: AgentJournal;
  #state: RegistryState | undefined;
  #changedAt: number | undefined;
  #changes = 0;
  #error: string | undefined;

  constructor(registry: Registry, log: AgentJournal) {
    this.#registry = registry;
    this.#log = log;
  }

  /** Undefined until it was read for the first time. */
  get state(): RegistryState | undefined {
    return this.#state;
  }

  /** Milliseconds since 1970. */
  get changedAt(): number | undefined {
    return this.#changedAt;
  }

  /** How many states there were. */
  get changes(): number {
    return this.#changes;
  }

  /** Why it cannot be read now. */
  get error(): string | undefined {
    return this.#error;
  }

  /** Calls `onChange` after each change, until `signal` aborts. Never throws. */
  async run(signal: AbortSignal, onChange: () => void): Promise<void> {
    for (let failures = 0; !signal.aborted; failures += 1) {
      if (failures > 0) await pause(backOff(failures), signal);
      let isWrong = false;
      const onError = (error: Error) => {
        isWrong = true;
        this.#failed(error);
      };
      const onRecovered = () => {
        isWrong = false;
        this.#recovered();
      };
      try {
        for await (const state of this.#registry.watch(signal, onError, onRecovered)) {
          failures = 0;
          if (!isWrong) this.#recovered(); // a state may be no more than what is remembered
          this.#take(state);
          onChange();
        }
      } catch (error) {
        if (!signal.aborted) this.#failed(error);
      }
    }
  }

  #take(state: RegistryState): void {
    this.#changes += 1;
    this.#changedAt = Date.now();
    for (const line of refusalChanges(this.#state?.refusals ?? [], state.refusals)) this.#log(...line);
    this.#state = state;
  }

  /** It can be read. */
  #recovered(): void {
    if (this.#error === undefined) return;
    this.#error = undefined;
    this.#log("info", "registry can be read again");
  }

  #failed(error: unknown): void {
    this.#error = textOf(error);
    this.#log("error", "registry cannot be read; what was read last goes on to count", { error: this.#error });
  }
}

type LogLine = Parameters<AgentJournal>;

/** A line for each refusal that is new, or is over. Pure. */
export function refusalChanges(before: readonly Refusal[], after: readonly Refusal[]): LogLine[] {
  const text = ({ where, what }: Refusal) => `${where}: ${what}`;
  const old = new Set(before.map(text));
  const now = new Set(after.map(text));
  const isNew = (refusal: Refusal) => !old.has(text(refusal));
  const isOver = (refusal: Refusal) => !now.has(text(refusal));
  return [
    ...after.filter(isNew).map(({ where, what, remedy, kept }): LogLine => {
      return ["error", "record refused", { where, what, remedy, kept }];
    }),
    ...before.filter(isOver).map(({ where, what }): LogLine => {
      return ["info", "record is not refused any more", { where, what }];
    }),
  ];
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
  });
}
