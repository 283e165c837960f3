import { watchDirectory } from "../os/watch-directory.ts";
import { isNodeFile } from "./accept.ts";
import type { RegistryState } from "./registry.ts";
import { Changes, late, within } from "./waiting.ts";

/** A directory of records, to be looked at again and again. */
export interface Watched {
  /** Where the files are. */
  readonly directory: string;
  /**
   * Looks at the files of these names, or at all, and then has the state anew. One call at a time, whoever makes it.
   * @param first Is done before that, within the same call. @throws Fault when nothing can be told of them.
   */
  look(names: ReadonlySet<string> | undefined, first: () => Promise<void>): Promise<void>;
  /** Undefined as long as nothing is known. */
  state(): RegistryState | undefined;
  /** Whether files are gone that still count: after `grace` ms all must be looked at. */
  isLeaving(): boolean;
  /** What else is wrong. */
  errors(): readonly Error[];
  /** That there was no answer within `timeout`. */
  silent(): Error;
}

/** In milliseconds. */
export interface WatchTimes {
  /** How often all is looked at. */
  readonly interval: number;
  readonly grace: number;
  readonly timeout: number;
}

/** Who is told, as in `Registry.watch`. */
export interface WatchTold {
  readonly onError: (error: Error) => void;
  readonly onRecovered: () => void;
}

/** The states of a directory, as in `Registry.watch`. Looks at it only while somebody waits for the next one. */
export async function* watchStates(
  watched: Watched,
  times: WatchTimes,
  signal: AbortSignal,
  { onError, onRecovered }: WatchTold,
): AsyncGenerator<RegistryState, void, undefined> {
  const changes = new Changes();
  using looks = new Looks(watched, changes, signal);
  let told: readonly string[] = [];
  let version: string | undefined;
  let fullAt = 0;
  while (!signal.aborted) {
    // Of a directory that could not be read, a part tells nothing.
    const isDue = told.length > 0 || performance.now() >= fullAt;
    const look = looks.next(isDue);
    const found = await within(look.errors, times.timeout, signal);
    if (signal.aborted) return;
    if (found !== late) looks.done();
    const errors = [...(found === late ? [watched.silent()] : found), ...watched.errors()];
    const messages = errors.map(({ message }) => message);
    for (const error of errors) if (!told.includes(error.message)) onError(error);
    if (told.length > 0 && messages.length === 0) onRecovered();
    told = messages;
    if (look.all) fullAt = performance.now() + (told.length > 0 ? Math.min(RETRY, times.interval) : times.interval);
    const state = watched.state();
    if (state !== undefined && state.version !== version) {
      version = state.version;
      yield state;
    }
    if (found === late) continue; // still the same look, with a bound of its own
    const untilFull = Math.max(0, fullAt - performance.now());
    const isMarked = await changes.next(watched.isLeaving() ? Math.min(times.grace, untilFull) : untilFull, signal);
    if (!isMarked) changes.mark(); // those that leave, or the time has come
  }
}

/** In milliseconds: how often what could not be read is tried again; nobody tells that a file system was mounted. */
const RETRY = 1000;

/** One look: what went wrong, and whether at all files. */
interface Look {
  readonly all: boolean;
  readonly errors: Promise<readonly Error[]>;
}

/** One look after the other: none while another one waits for a file server. */
class Looks implements Disposable {
  readonly #watcher: ReturnType<typeof watchDirectory>;
  readonly #onAbort = () => this[Symbol.dispose]();
  #current: Look | undefined;

  constructor(
    private readonly watched: Watched,
    private readonly changes: Changes,
    private readonly signal: AbortSignal,
  ) {
    this.#watcher = watchDirectory(watched.directory, {
      onEntry: (name) => {
        if (isNodeFile(name)) changes.mark(name);
      },
      onReplaced: () => changes.mark(),
    });
    // Whoever does not ask for another state after the signal would leave it open.
    signal.addEventListener("abort", this.#onAbort);
  }

  /** The look that goes on, or a new one at what changed. @param isDue At all files. */
  next(isDue: boolean): Look {
    if (this.#current !== undefined) return this.#current;
    const { all: isMarked, names } = this.changes.take();
    const all = isDue || isMarked;
    this.#current = { all, errors: this.#look(all ? undefined : names) };
    return this.#current;
  }

  /** The look has ended. */
  done(): void {
    this.#current = undefined;
  }

  [Symbol.dispose](): void {
    this.signal.removeEventListener("abort", this.#onAbort);
    this.#watcher[Symbol.dispose]();
  }

  async #look(names: ReadonlySet<string> | undefined): Promise<readonly Error[]> {
    const errors: Error[] = [];
    const failed = (error: unknown) => {
      errors.push(error instanceof Error ? error : new Error(`${error}`));
    };
    // Watched before it is read: what comes between the two is seen by either.
    const follow = () => (names === undefined ? this.#watcher.follow().catch(failed) : Promise.resolve());
    await this.watched.look(names, follow).catch(failed);
    return errors;
  }
}
