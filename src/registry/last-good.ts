import { isObject } from "../config/hub-item.ts";
import { mkdirPrivate, readSecretFile } from "../os/file.ts";
import { writeShared } from "../os/shared-directory.ts";
import type { NodeRecord } from "./node-record.ts";
import { recordOf } from "./parse-record.ts";
import { isIssues } from "./record-text.ts";
import type { Refusal } from "./registry.ts";

/** What was accepted last, by name, and what is wrong with the file that says so. */
export interface LastGood {
  readonly nodes: ReadonlyMap<string, NodeRecord>;
  readonly refusal?: Refusal;
}

/**
 * Reads what an agent accepted before it ended; nothing when there is no such file. A damaged one counts as none, and is
 * told: without it only those nodes are missed whose own files are damaged as well.
 */
export function readLastGood(path: string): LastGood {
  const nothing = (what: string): LastGood => ({
    nodes: new Map(),
    refusal: { where: path, what, remedy: "do nothing: it is written anew", kept: false },
  });
  let bytes: Uint8Array | undefined;
  try {
    bytes = readSecretFile(path)?.bytes;
  } catch (error) {
    return nothing(`cannot be read: ${error instanceof Error ? error.message : error}`);
  }
  if (bytes === undefined) return { nodes: new Map() };
  const nodes = parseLastGood(Buffer.from(bytes).toString());
  return nodes === undefined ? nothing("is damaged, and does not count") : { nodes };
}

/** Reads a text, or undefined when it is damaged. Pure. */
export function parseLastGood(text: string): ReadonlyMap<string, NodeRecord> | undefined {
  const json = parseJson(text);
  if (!isObject(json) || json.version !== VERSION || !Array.isArray(json.nodes)) return undefined;
  const nodes = new Map<string, NodeRecord>();
  for (const raw of json.nodes) {
    const record = recordOf(raw);
    if (isIssues(record)) return undefined;
    nodes.set(record.name, record);
  }
  return nodes;
}

/** The text of a file: one line for each node. Pure. */
export function lastGoodText(nodes: readonly NodeRecord[]): string {
  const lines = nodes.map(({ since, ...record }) =>
    JSON.stringify({ ...record, ...(since === undefined ? {} : { since: new Date(since).toISOString() }) }),
  );
  return `{\n"version": ${VERSION},\n"nodes": [\n${lines.join(",\n")}\n]\n}\n`;
}

const VERSION = 1;

/**
 * Writes the file when it is told to, a little later, as whoever waits for the change comes first; and not again and
 * again: of what comes while it writes, or within a second after, the last counts.
 */
export class LastGoodWriter implements AsyncDisposable {
  #next: readonly NodeRecord[] | undefined;
  #busy: Promise<void> | undefined;
  #hurry: (() => void) | undefined;
  #isOver = false;

  /** @param told Is told of each attempt: of the error, if there was one. */
  constructor(
    private readonly path: string,
    private readonly told: (error?: Error) => void,
  ) {}

  write(nodes: readonly NodeRecord[]): void {
    this.#next = nodes;
    this.#busy ??= this.#run().finally(() => {
      this.#busy = undefined;
    });
  }

  /** Writes what is still to be written. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#hurry?.();
    await this.#busy;
  }

  async #run(): Promise<void> {
    await this.#pause(DELAY);
    for (let nodes = this.#next; nodes !== undefined; nodes = this.#next) {
      this.#next = undefined;
      try {
        mkdirPrivate(this.path.slice(0, this.path.lastIndexOf("/")) || "/");
        await writeShared(this.path, lastGoodText(nodes), 0o600);
        this.told();
      } catch (error) {
        this.told(error instanceof Error ? error : new Error(`${error}`));
      }
      await this.#pause(PAUSE);
    }
  }

  #pause(milliseconds: number): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** In milliseconds: with a thousand nodes the text alone takes some. */
const DELAY = 50;

/** In milliseconds. */
const PAUSE = 1000;

function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch {
    return undefined;
  }
}
