import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ALL } from "./support/suite.ts";

const README = readFileSync(new URL("README.md", import.meta.url), "utf8");

test("no two requirements have the same id", () => {
  const ids = ALL.map(({ id }) => id);
  expect(ids).toEqual([...new Set(ids)]);
});

test("the table of README.md has each requirement, and no other", () => {
  const named = [...README.matchAll(/`([a-z]+\/[a-z-]+)`/g)].map(([, id]) => id);
  const folders = ["test/netns"]; // other things in backticks with a slash
  const inTable = [...new Set(named)].filter((id) => id !== undefined && !folders.includes(id));
  expect(inTable.sort()).toEqual(ALL.map(({ id }) => id).sort());
});
