import { beforeAll, expect, test } from "vitest";
import { accept, type Content } from "../../src/registry/accept.ts";
import { parseLastGood } from "../../src/registry/last-good.ts";
import { isIssues, parseRecordText, type RecordIssue, recordText } from "../../src/registry/record-text.ts";
import { ed25519Key, rawRecord, record } from "../unit/registry/support.ts";
import { mutate } from "./support/mutate.ts";
import { Memory, Random } from "./support/random.ts";

/** How many inputs, and the one number that all of them follow from: FUZZ_SEED repeats a run. */
const INPUTS = 40_000;
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 0x100000000);

/** The most that a run may have resident more than at its start, in bytes. */
const MEMORY = 400 * 1024 * 1024;

const PRIVATE = Buffer.from("private-key-never-to-be-seen-QzX").toString("base64");
/** What of it must be in no message: longer than any chance, shorter than what damage leaves of it. */
const SEEN = PRIVATE.slice(4, 24);

const CORPUS: readonly string[] = [
  recordText(record(1)),
  recordText(
    record(2, {
      underlay: { private: ["10.9.0.2", "fd00:9::2"], public: ["192.0.2.2", "n2.example.org"] },
      since: "2026-11-21T12:00:00.000Z",
      ipsec: { identity: "n2@example.org", publicKey: ed25519Key(1), nextPublicKey: ed25519Key(2) },
      site: "paris",
      gateway: true,
      keepalive: 25,
      mtu: 1400,
      labels: { rack: "012", "example.org/zone": "eu west" },
    }),
  ),
  `name: n3 # by hand\npodPrefixes: 10.101.3.0/24\nwireguard: { publicKey: "${PRIVATE}" }\n`,
  JSON.stringify(rawRecord(4, { labels: { a: "b" }, ipsec: { publicKey: PRIVATE } })),
  `&a name: n5\npodPrefixes: &p [10.101.5.0/24, "fd00::/64"]\naddresses: *p\n? [x]\n: ${PRIVATE}\nlabels: !!map {<<: *p}\n---\n`,
];

/** Each names its line, is short, and shows no key. */
function requireTellable(issues: readonly RecordIssue[], text: string): void {
  const lines = text.split(/\r\n|\r|\n/).length;
  for (const { line, what, remedy } of issues) {
    if (line !== undefined && !(line >= 1 && line <= lines)) throw new Error(`no line: ${line}`);
    if (what.length > 300 || remedy === "") throw new Error(`not for people: ${what}; ${remedy}`);
    if (`${what}${remedy}`.includes(SEEN)) throw new Error("a key is shown");
  }
  if (issues.length > 20) throw new Error("too many to read");
}

beforeAll(() => {
  process.stdout.write(`fuzzing the registry with FUZZ_SEED=${SEED}\n`);
});

test(`${INPUTS} damaged records are read, and written again are the same, or their lines are named, in bounded memory`, () => {
  const random = new Random(SEED);
  const memory = new Memory();
  const outcomes = { read: 0, refused: 0 };
  for (let count = 0; count < INPUTS; count += 1) {
    const text = mutate(CORPUS, random);
    try {
      const read = parseRecordText(text);
      if (isIssues(read)) {
        outcomes.refused += 1;
        requireTellable(read, text);
        continue;
      }
      outcomes.read += 1;
      const again = parseRecordText(recordText(read));
      if (isIssues(again) || recordText(again) !== recordText(read)) throw new Error("written, it is another");
    } catch (cause) {
      throw new Error(`seed ${SEED}, input ${JSON.stringify(text)}`, { cause });
    }
    if (count % 1000 === 0) memory.look();
  }
  expect(outcomes.read).toBeGreaterThan(INPUTS / 100);
  expect(outcomes.refused).toBeGreaterThan(INPUTS / 100);
  expect(memory.most).toBeLessThan(MEMORY);
});

test("whatever files there are, each has its node or its refusal, and no node is lost that was there", () => {
  const random = new Random(SEED + 1);
  const names = ["n00001.yaml", "n00001.yml", "n00002.yaml", "n3.yaml", "n3.yml", "N4.yaml", "n5.yaml", "a b.yaml"];
  let before = new Map([["n00001", record(1)]]);
  for (let count = 0; count < 1500; count += 1) {
    const files = names
      .filter(() => random.below(3) > 0)
      .map((name) => {
        const text = random.below(2) === 0 ? random.pick(CORPUS) : mutate(CORPUS, random);
        const read = parseRecordText(text);
        const content: Content = isIssues(read) ? { issues: read } : { record: read, text };
        return { name, content };
      });
    const { nodes, refusals } = accept(files, before);
    const stay = new Set(nodes.map(({ name }) => name));
    for (const { name } of files) {
      const node = name.replace(/\.ya?ml$/, "");
      const refused = refusals.some(({ where }) => where === `nodes/${name}` || where.startsWith(`nodes/${name}:`));
      expect(stay.has(node) || refused).toBe(true);
      if (before.has(node)) expect(stay.has(node)).toBe(true);
    }
    for (const name of stay) expect(files.some((file) => file.name.startsWith(`${name}.`))).toBe(true);
    before = new Map(nodes.map((one) => [one.name, one]));
  }
});

test("a damaged file of what was accepted is read, or is none", () => {
  const random = new Random(SEED + 2);
  const nodes = [1, 2].map((number) => JSON.stringify(rawRecord(number)));
  const whole = `{\n"version": 1,\n"nodes": [\n${nodes.join(",\n")}\n]\n}\n`;
  let read = 0;
  for (let count = 0; count < 20_000; count += 1) if (parseLastGood(mutate([whole], random)) !== undefined) read += 1;
  expect(read).toBeGreaterThan(0);
  expect(read).toBeLessThan(20_000);
  expect(parseLastGood(whole)?.size).toBe(2);
});

const KEYS = "wireguard: {}\n";

test.each<[string, string]>([
  ["brackets without an end", `name: ${"[".repeat(60_000)}`],
  ["braces without an end", `name: ${"{a: ".repeat(15_000)}`],
  ["steps without an end", Array.from({ length: 350 }, (_, depth) => `${" ".repeat(depth)}a:`).join("\n")],
  ["prefixes without an end", `name: n1\n${KEYS}podPrefixes: [${"10.1.0.0/24,".repeat(5000)}]`],
  ["wrong prefixes without an end", `name: n1\n${KEYS}podPrefixes: [${"x,".repeat(30_000)}]`],
  ["hosts without an end", `name: n1\n${KEYS}podPrefixes: 10.1.0.0/24\nunderlay: {public: [${"a.b,".repeat(15_000)}]}`],
  ["addresses without an end", `name: n1\n${KEYS}podPrefixes: 10.1.0.0/24\naddresses: [${"10.1.0.1,".repeat(6000)}]`],
  ["unknown keys without an end", Array.from({ length: 6000 }, (_, number) => `key${number}: 1`).join("\n")],
  ["labels without an end", `labels:\n${Array.from({ length: 6000 }, (_, n) => ` l${n}: 1`).join("\n")}`],
  ["a name without an end", `name: ${"a-".repeat(30_000)}!`],
  ["a host without an end", `name: n1\n${KEYS}underlay: {public: ["${"a-".repeat(30_000)}!"]}`],
  [
    "aliases of aliases",
    `a: &a [x]\n${Array.from({ length: 9 }, (_, n) => `b${n}: &b${n} [${`*${n === 0 ? "a" : `b${n - 1}`},`.repeat(20)}]`).join("\n")}`,
  ],
  ["remarks without an end", `${"#\n".repeat(32_000)}name: 1`],
  ["anchors without an end", `name: ${"&a ".repeat(20_000)}`],
])("the worst is refused in time: %s", (_name, text) => {
  expect(text.length).toBeLessThanOrEqual(64 * 1024);
  const start = performance.now();
  const read = parseRecordText(text);
  if (!isIssues(read)) throw new Error("it is a record");
  requireTellable(read, text);
  expect(performance.now() - start).toBeLessThan(5000);
});
