import type { Random } from "./random.ts";

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
