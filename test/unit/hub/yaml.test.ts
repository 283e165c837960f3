import { expect, test } from "vitest";
import { parseYaml } from "../../../src/config/yaml.ts";
import { Fault } from "../../../src/fault.ts";

function fault(text: string): Fault {
  try {
    parseYaml(text, "hub.yaml");
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("the text was taken");
}

test("YAML becomes what it says", () => {
  expect(parseYaml("a: [1, two]\n# no more\n", "hub.yaml")).toEqual({ a: [1, "two"] });
  expect(parseYaml("", "hub.yaml")).toBeNull();
});

test.each([
  ["an open quote", 'a: 1\nb: "my secret key\n', /^hub\.yaml:[23] is not YAML \(MISSING_CHAR\)$/],
  ["a key that is given twice", "a: 1\nb: 2\na: my secret key\n", /^hub\.yaml:3 is not YAML \(DUPLICATE_KEY\)$/],
  ["a tab", "a:\n\t- my secret key\n", /^hub\.yaml:2 is not YAML \(TAB_AS_INDENT\)$/],
  ["an alias of nothing", "a: *nowhere\n", /alias/],
  ["aliases that grow without end", `a: &a [x,x,x,x,x,x,x,x,x,x]\n${bomb()}`, /alias/],
])("%s is refused by its line, without quoting it", (_, text, what) => {
  const refused = fault(text);
  expect(refused.code).toBe(6);
  expect(refused.what).toMatch(what);
  expect(`${refused.message}${refused.details ?? ""}`).not.toContain("my secret key");
});

function bomb(): string {
  const names = ["a", "b", "c", "d", "e", "f"];
  return names
    .slice(1)
    .map((name, index) => `${name}: &${name} [${Array(10).fill(`*${names[index]}`).join(",")}]\n`)
    .join("");
}
