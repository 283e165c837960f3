import { describe, expect, test } from "vitest";
import { readYaml } from "../../../src/config/yaml.ts";

const TEXT = `# a remark
name: n1
list:
  - one
  - two
  - key: x
    other: [a,
      b]
"two words": 1
nested:
  list: {deep: 1}
  listing: 2
`;

function line(what: string, text = TEXT): number {
  const read = readYaml(text);
  if (!("value" in read)) throw new Error(read.what);
  return read.lineOf(what);
}

describe("the line of a field", () => {
  test.each([
    ["name", 2],
    ['name is "n1"', 2],
    ["list", 3],
    ["list is a list", 3],
    ["list[0] is wrong", 4],
    ["list[1], and more", 5],
    ["list[2].key is x", 6],
    ["list[2].other[1] is b", 8],
    ['["two words"] is not known', 9],
    ["nested.list.deep is 1", 11],
    ["nested.listing is 2", 12],
  ])("%s: %d", (what, expected) => {
    expect(line(what)).toBe(expected);
  });

  test.each([
    ["list[2].missing is missing", 6],
    ["list[7] is missing", 3],
    ["nested.lis is missing", 10],
    ["names are no name", 2],
    ["absent is missing", 2],
  ])("that is not there is that of what is around it: %s", (what, expected) => {
    expect(line(what)).toBe(expected);
  });

  test("is the first one where nothing is", () => {
    expect(line("name is missing", "")).toBe(1);
    expect(line("it holds a list", "\n\n- a\n")).toBe(3);
  });
});

test.each([
  ["a syntax error", "a: [\n", { line: 2, what: "is not YAML (BAD_INDENT)" }],
  ["two documents", "a: 1\n---\nb: 1\n", { line: 2, what: "is not YAML (MULTIPLE_DOCS)" }],
  ["an alias of nothing", "a: *b\n", { what: "has an alias (*name) that cannot be resolved" }],
  ["brackets without an end", "[".repeat(60_000), { what: expect.stringMatching(/nested too deeply|not YAML/) }],
])("%s is damage, and no exception", (_, text, expected) => {
  expect(readYaml(text)).toMatchObject(expected);
});
