import { Code, Fault } from "../fault.ts";
import { listShared, mapShared, Problem, readShared, sharedFacts, type Unreadable } from "../os/shared-directory.ts";
import { type Content, isNodeFile, type NodeFile } from "./accept.ts";
import type { NodeRecord } from "./node-record.ts";
import { isIssues, parseRecordText, type RecordIssue, recordText } from "./record-text.ts";

/** In bytes: a record has some hundreds. */
const LARGEST = 64 * 1024;

/** The calls that reach the files; others in tests, where they fail. */
export interface FileAccess {
  readonly list: typeof listShared;
  readonly facts: typeof sharedFacts;
  readonly read: typeof readShared;
}

/** What there is of a file since it was last read. */
interface Cached {
  readonly content: Content;
  /** Of the file that was read; absent: it must be read again. */
  readonly identity?: string;
  /** Since when it is not there, by `performance.now()`. */
  readonly goneSince?: number;
}

/**
 * The files of the nodes: read again only when they changed. One call at a time.
 *
 * A file that is gone counts for a while as if it were still there: git, and others that copy files, remove one before
 * they write it anew.
 */
export class NodeFiles {
  readonly #cached = new Map<string, Cached>();
  #version = 0;

  /** @param grace In milliseconds: how long a file that is gone still counts. */
  constructor(
    private readonly directory: string,
    private readonly grace: number,
    private readonly access: FileAccess = { list: listShared, facts: sharedFacts, read: readShared },
  ) {}

  /** Looks at the files of these names alone. One that is gone still counts, until all are looked at. */
  async refreshSome(names: ReadonlySet<string>): Promise<void> {
    for (const name of names) if (isNodeFile(name)) await this.#read(name);
  }

  /**
   * Looks at all files.
   * @param mayBeEmpty Whether all may go at once; else nothing is forgotten when no file is there.
   * @returns What there is of the directory. @throws Fault 5 when it cannot be read.
   */
  async refresh(mayBeEmpty: boolean): Promise<"there" | "empty" | "missing"> {
    const listed = await this.access.list(this.directory);
    const names = new Set(listed?.filter(isNodeFile));
    if (names.size === 0 && !mayBeEmpty) {
      for (const [name, { content }] of this.#cached) this.#cached.set(name, { content });
      return listed === undefined ? "missing" : "empty";
    }
    await this.#look([...names]);
    for (const [name, { goneSince }] of [...this.#cached]) {
      if (names.has(name)) continue;
      if (goneSince !== undefined && performance.now() - goneSince >= this.grace) this.forget(name);
      else this.#gone(name);
    }
    return "there";
  }

  /** Another one whenever `files` may give something else. */
  get version(): number {
    return this.#version;
  }

  /** All files that count. */
  files(): NodeFile[] {
    return [...this.#cached].map(([name, { content }]) => ({ name, content }));
  }

  /** What a file holds; undefined when there is none that counts. */
  content(name: string): Content | undefined {
    return this.#cached.get(name)?.content;
  }

  /** Whether files are gone that still count. */
  get isLeaving(): boolean {
    return [...this.#cached.values()].some(({ goneSince }) => goneSince !== undefined);
  }

  /** A file of which it is known that it is gone for good. */
  forget(name: string): void {
    if (this.#cached.delete(name)) this.#version += 1;
  }

  /** Reads those that may have changed. */
  async #look(names: readonly string[]): Promise<void> {
    const identities = names.map((name) => this.#identity(name));
    const known = names.filter((_, index) => identities[index] !== undefined);
    const facts = new Map<string, string>();
    for (const [index, found] of (await this.access.facts(this.directory, known)).entries()) {
      const name = known[index];
      if (name !== undefined && found !== undefined && "identity" in found) facts.set(name, found.identity);
    }
    const changed = names.filter(
      (name, index) => identities[index] === undefined || facts.get(name) !== identities[index],
    );
    await mapShared(changed, (name) => this.#read(name));
  }

  /** Of a file as it was read; undefined when it must be read again. */
  #identity(name: string): string | undefined {
    const cached = this.#cached.get(name);
    return cached?.goneSince === undefined ? cached?.identity : undefined;
  }

  async #read(name: string): Promise<void> {
    const read = await this.access.read(`${this.directory}/${name}`, LARGEST);
    if (read === undefined) {
      this.#gone(name);
      return;
    }
    const before = this.#cached.get(name)?.content;
    const content = "problem" in read ? { issues: [unreadable(read)] as const } : contentOf(read.bytes, before);
    const isCertain = "identity" in read && !read.isFresh;
    this.#cached.set(name, { content, ...(isCertain ? { identity: read.identity } : {}) });
    if (content !== before) this.#version += 1;
  }

  #gone(name: string): void {
    const cached = this.#cached.get(name);
    if (cached === undefined) return;
    this.#cached.set(name, { content: cached.content, goneSince: cached.goneSince ?? performance.now() });
  }
}

/** What the bytes say; the very record of before when it is the same, so that whoever compares has nothing to do. */
function contentOf(bytes: Uint8Array, before: Content | undefined): Content {
  const text = textOf(bytes);
  if (text === undefined) {
    return { issues: [{ what: "is not text in UTF-8", remedy: "write it anew, or restart the agent of that node" }] };
  }
  if (before !== undefined && "text" in before && before.text === text) return before;
  const record = parseRecordText(text);
  if (isIssues(record)) return { issues: record };
  const isSame = before !== undefined && "record" in before && sameRecord(before.record, record);
  return { record: isSame ? before.record : record, text };
}

/** Their texts take a while, and an agent that changes its record changes its generation. */
function sameRecord(one: NodeRecord, other: NodeRecord): boolean {
  return one.generation === other.generation && recordText(one) === recordText(other);
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function unreadable({ problem }: Unreadable): RecordIssue {
  const [what, remedy] = PROBLEMS[problem] ?? [
    `cannot be read (${problem})`,
    "see that it is on a healthy file system",
  ];
  return { what, remedy };
}

const PROBLEMS: Readonly<Record<string, readonly [string, string] | undefined>> = {
  EISDIR: ["is a directory", "remove it, or rename it"],
  ELOOP: ["is a symbolic link that leads to itself", "remove it"],
  EFBIG: [`has more than ${LARGEST} bytes`, "write a record into it: one has some hundreds"],
  EACCES: [
    "cannot be read (EACCES)",
    "correct its permissions, with chmod 644 (on NFS, root_squash makes root nobody)",
  ],
  [Problem.dangling]: ["is a symbolic link to nothing", "remove it, or make what it points to"],
  [Problem.special]: ["is no regular file", "remove it"],
};

/**
 * That a directory is not there, or is empty, where nodes were. Pure.
 * @param lastGood The file that keeps them beyond the process, if there is one.
 */
export function lost(directory: string, nodes: number, how: "missing" | "empty", lastGood: string | undefined): Fault {
  const now = how === "missing" ? "does not exist any more" : "is empty all at once";
  const forget = lastGood === undefined ? "start the agent anew" : `stop the agent, remove ${lastGood} and start it`;
  const remedy = `mount it again or put the files back: these nodes count until then (${forget} if they are gone for good)`;
  return new Fault(Code.tryAgainLater, `${directory} ${now}, and ${nodes} nodes were there`, remedy);
}
