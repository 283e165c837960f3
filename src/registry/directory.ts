import { createHash } from "node:crypto";
import { Code, Fault } from "../fault.ts";
import { sameItems } from "../net/same-items.ts";
import { removeShared, writeShared } from "../os/shared-directory.ts";
import { accept, type Content } from "./accept.ts";
import { withoutContradictions } from "./conflicts.ts";
import { LastGoodWriter, readLastGood } from "./last-good.ts";
import { type FileAccess, lost, NodeFiles } from "./node-files.ts";
import type { NodeRecord } from "./node-record.ts";
import { Peace } from "./peace.ts";
import { recordText } from "./record-text.ts";
import type { Refusal, Registry, RegistryState } from "./registry.ts";
import { late, within } from "./waiting.ts";
import { type Watched, type WatchTimes, watchStates } from "./watching.ts";

export interface DirectoryRegistryOptions {
  /** The nodes' files are in `nodes/` below it; made when a record is published. */
  readonly directory: string;
  /** A file of this process's own in which it keeps what it accepted, so that this outlives it. */
  readonly lastGood?: string;
  /** Whether a record with this node's name has keys that are, or were, this node's. Without it, all have. */
  readonly isOwn?: (record: NodeRecord) => boolean;
  /** In milliseconds: how often all is looked at, as a file server tells nobody what changed. 10 s unless told. */
  readonly interval?: number;
  /** In milliseconds: how long a file that is gone still counts, as it may only be written anew. 500 unless told. */
  readonly grace?: number;
  /** In milliseconds: after how long a directory that does not answer is told of. 5 s unless told. */
  readonly timeout?: number;
  /** Other calls to reach the files: in tests, where they fail. */
  readonly access?: FileAccess;
}

/** The registry in a directory of YAML files, one a node: `nodes/NAME.yaml`. Reads nothing of it yet. */
export function openDirectoryRegistry(options: DirectoryRegistryOptions): Registry {
  return new DirectoryRegistry(options);
}

class DirectoryRegistry implements Registry {
  readonly #options: DirectoryRegistryOptions;
  readonly #nodes: string;
  readonly #times: WatchTimes;
  readonly #files: NodeFiles;
  readonly #writer: LastGoodWriter | undefined;
  readonly #over = new AbortController();
  readonly #peace = new Peace();
  /** What was accepted last, by name. */
  #before: ReadonlyMap<string, NodeRecord> = new Map();
  #state: RegistryState = { version: "0", nodes: [], refusals: [] };
  /** Whether the state is more than that nothing was read. */
  #isKnown = false;
  #changes = 0;
  /** The version of the files of which the state is. */
  #accepted: number | undefined;
  /** What is wrong with the file `lastGood`, until it is written anew. */
  #damage: Refusal | undefined;
  #unsaved: Error | undefined;
  /** Only one call at a time waits for a file server. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: DirectoryRegistryOptions) {
    this.#options = options;
    this.#nodes = `${options.directory}/nodes`;
    const { interval = 10_000, grace = 500, timeout = 5000 } = options;
    this.#times = { interval, grace, timeout };
    this.#files = new NodeFiles(this.#nodes, grace, options.access);
    const { lastGood } = options;
    if (lastGood === undefined) return;
    const { nodes, refusal } = readLastGood(lastGood);
    this.#damage = refusal;
    if (nodes.size > 0) {
      this.#isKnown = true;
      // In peace with each other, whatever was done to the file.
      this.#settle(
        withoutContradictions(
          [...nodes.values()].map((record) => ({ record, where: () => lastGood })),
          nodes,
        ),
      );
    }
    this.#writer = new LastGoodWriter(lastGood, (error) => {
      this.#unsaved = error;
      if (error !== undefined || this.#damage === undefined) return;
      this.#damage = undefined;
      this.#accepted = undefined; // what was accepted tells of the damage
    });
  }

  async publish(record: NodeRecord): Promise<NodeRecord> {
    const published = await within(
      this.#exclusive(() => this.#publish(record)),
      this.#times.timeout,
    );
    if (published === late) throw this.#silent();
    return published;
  }

  async withdraw(name: string): Promise<void> {
    const withdrawn = await within(
      this.#exclusive(async () => {
        for (const file of [`${name}.yaml`, `${name}.yml`]) {
          await removeShared(`${this.#nodes}/${file}`);
          this.#files.forget(file);
        }
        this.#before = new Map([...this.#before].filter(([key]) => key !== name));
        if (this.#accepted !== undefined) this.#accept(); // else nothing was read yet
      }),
      this.#times.timeout,
    );
    if (withdrawn === late) throw this.#silent();
  }

  async list(): Promise<RegistryState> {
    const listed = await within(
      this.#exclusive(async () => {
        await this.#read();
        if (!this.#files.isLeaving) return;
        await new Promise((resolve) => setTimeout(resolve, this.#times.grace + EARLY));
        await this.#read();
      }),
      this.#times.timeout + this.#times.grace,
    );
    if (listed === late) throw this.#silent();
    return this.#state;
  }

  watch(
    signal: AbortSignal,
    onError: (error: Error) => void,
    onRecovered: () => void = () => undefined,
  ): AsyncIterable<RegistryState> {
    const watched: Watched = {
      directory: this.#nodes,
      look: (names, first) => this.#exclusive(() => first().then(() => this.#read(names))),
      state: () => (this.#isKnown ? this.#state : undefined),
      isLeaving: () => this.#files.isLeaving,
      errors: () => (this.#unsaved === undefined ? [] : [this.#unsaved]),
      silent: () => this.#silent(),
    };
    const over = AbortSignal.any([signal, this.#over.signal]);
    return watchStates(watched, this.#times, over, { onError, onRecovered });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await this.#writer?.[Symbol.asyncDispose]();
  }

  async #publish(record: NodeRecord): Promise<NodeRecord> {
    const { name } = record;
    await this.#read(); // an empty mount point takes no record: it would seem to be all that there is
    const [file, old] = [`${name}.yaml`, `${name}.yml`];
    const content = this.#files.content(file) ?? this.#files.content(old);
    const there = recordIn(content) ?? this.#before.get(name);
    if (there !== undefined && this.#options.isOwn?.(there) === false) throw this.#foreign(name);
    const isDone = recordIn(this.#files.content(file)) !== undefined && this.#files.content(old) === undefined;
    if (there !== undefined && isDone && isSame(there, record)) return there;
    const published = { ...record, generation: Math.max(record.generation, (there?.generation ?? 0) + 1) };
    await writeShared(`${this.#nodes}/${file}`, recordText(published), 0o644);
    await removeShared(`${this.#nodes}/${old}`); // where somebody wrote it by hand
    this.#files.forget(old);
    await this.#read(new Set([file]));
    return published;
  }

  /** Looks at all files, or at these alone. @throws Fault 5 or 11 when nothing can be told of them. */
  async #read(names?: ReadonlySet<string>): Promise<void> {
    if (names === undefined) {
      // One node after the other may go; that all go at once is a file system that is not mounted.
      const mayBeEmpty = this.#before.size <= 1;
      const found = await this.#files.refresh(mayBeEmpty);
      if (found !== "there") throw lost(this.#nodes, this.#before.size, found, this.#options.lastGood);
    } else {
      await this.#files.refreshSome(names);
    }
    this.#isKnown = true;
    this.#accept();
  }

  #accept(): void {
    const { version } = this.#files;
    if (version === this.#accepted) return;
    this.#settle(accept(this.#files.files(), this.#before, this.#peace));
    this.#accepted = version;
  }

  #settle({ nodes, refusals }: Pick<RegistryState, "nodes" | "refusals">): void {
    const all = this.#damage === undefined ? refusals : [this.#damage, ...refusals];
    const before = this.#state;
    const isSameNodes = sameItems(nodes, before.nodes);
    if (isSameNodes && refusalsText(all) === refusalsText(before.refusals) && before.version !== "0") return;
    this.#changes += 1;
    this.#state = { version: `${this.#changes}-${digest(nodes, all)}`, nodes, refusals: all };
    this.#before = new Map(nodes.map((node) => [node.name, node]));
    if (!isSameNodes || this.#damage !== undefined) this.#writer?.write(nodes);
  }

  #exclusive<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(act);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  #silent(): Fault {
    const what = `${this.#options.directory} does not answer (${this.#times.timeout} ms)`;
    return new Fault(
      Code.tryAgainLater,
      what,
      "see that its file server can be reached; until then all stays as it is",
    );
  }

  #foreign(name: string): Fault {
    const what = `the registry has a node ${name} with other keys (${this.#nodes}/${name}.yaml)`;
    const remedy =
      "give this node another name in agent.yaml; or, if that node is gone for good or this one lost its keys, remove that file";
    return new Fault(Code.invalidConfig, what, remedy);
  }
}

/** In milliseconds: so much earlier than it should a timer may come. */
const EARLY = 2;

function recordIn(content: Content | undefined): NodeRecord | undefined {
  return content !== undefined && "record" in content ? content.record : undefined;
}

/** Whether both say the same, apart from their generation. */
function isSame(one: NodeRecord, other: NodeRecord): boolean {
  return recordText({ ...one, generation: 0 }) === recordText({ ...other, generation: 0 });
}

function refusalsText(refusals: readonly Refusal[]): string {
  return JSON.stringify(refusals.map(({ record: _, ...told }) => told));
}

const digests = new WeakMap<NodeRecord, string>();

/** The same for the same content, also in another process. */
function digest(nodes: readonly NodeRecord[], refusals: readonly Refusal[]): string {
  const each = nodes.map((node) => {
    const known = digests.get(node) ?? sha256(JSON.stringify(node));
    digests.set(node, known);
    return known;
  });
  return sha256([...each, refusalsText(refusals)].join("\n")).slice(0, 12);
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
