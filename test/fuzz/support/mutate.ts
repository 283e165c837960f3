/** Numbers that look random, the same for the same seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to `end` - 1. */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x100000000) * end);
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  }
}

/** What makes one text of another. */
type Mutation = (text: string, random: Random, corpus: readonly string[]) => string;

/** Characters that mean something in texts of lines, keys and values, and some that do in none. */
const EDGES = [
  ..."=\n\r \t#,:/[]%-+.0179afgzAFZ\0\u007f\u0080\u00ff\ufffd",
  "\u{1f512}",
  "=\n",
  "\n\n",
  "99999999999999999999",
];

const MUTATIONS: readonly Mutation[] = [
  (text, random) => splice(text, random, 1, random.pick(EDGES)),
  (text, random) => splice(text, random, 0, random.pick(EDGES)),
  (text, random) => splice(text, random, random.below(16), ""),
  (text, random) => splice(text, random, 0, random.pick(EDGES).repeat(random.below(64))),
  (text, random) => splice(text, random, 0, slice(text, random)),
  (text, random, corpus) => splice(text, random, 0, slice(random.pick(corpus), random)),
  (text, random) => text.slice(0, random.below(text.length + 1)),
  (text, random) => text.slice(random.below(text.length + 1)),
  (text, random) => changeLines(text, random, (lines, at) => lines.splice(at, 1)),
  (text, random) => changeLines(text, random, (lines, at) => lines.splice(at, 0, random.pick(lines))),
  (text, random, corpus) =>
    changeLines(text, random, (lines, at) => lines.splice(at, 0, random.pick(random.pick(corpus).split("\n")))),
  (text, random) =>
    changeLines(text, random, (lines, at) =>
      lines.splice(
        at,
        1,
        random.pick(lines).replace(/=.*/, (value) => value.slice(random.below(8))),
      ),
    ),
];

function splice(text: string, random: Random, removed: number, inserted: string): string {
  const at = random.below(text.length + 1);
  return text.slice(0, at) + inserted + text.slice(at + removed);
}

function slice(text: string, random: Random): string {
  const start = random.below(text.length + 1);
  return text.slice(start, start + random.below(80));
}

function changeLines(text: string, random: Random, change: (lines: string[], at: number) => void): string {
  const lines = text.split("\n");
  change(lines, random.below(lines.length));
  return lines.join("\n");
}

/** One of the texts with one to four things wrong. */
export function mutate(corpus: readonly string[], random: Random): string {
  let text = random.pick(corpus);
  for (let count = 1 + random.below(4); count > 0; count -= 1) text = random.pick(MUTATIONS)(text, random, corpus);
  return text;
}

/** Resident memory, in bytes, above what it was when this was made. */
export class Memory {
  readonly #start = process.memoryUsage.rss();
  most = 0;

  look(): void {
    this.most = Math.max(this.most, process.memoryUsage.rss() - this.#start);
  }
}
