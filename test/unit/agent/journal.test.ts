import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { agentJournal, logfmt } from "../../../src/agent/journal.ts";

describe("the agent's journal", () => {
  test("has one line for each entry, with time and level", () => {
    const lines: string[] = [];
    const log = agentJournal({ level: "info", write: (text) => lines.push(text) });
    log("info", "peer is up", { peer: "n2", rtt: 0.5, nothing: undefined });
    log("debug", "not written");
    expect(lines).toEqual([
      expect.stringMatching(/^time=\d{4}-\d\d-\d\dT[\d:.]+Z level=info msg="peer is up" peer=n2 rtt=0\.5\n$/),
    ]);
  });

  test("never has a line end or a terminal's command within a line", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(logfmt({ msg: text })).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
      }),
    );
    expect(logfmt({ a: "\u001b[2J", b: 'x="y"', c: "" })).toBe('a="\\u001b[2J" b="x=\\"y\\"" c=""');
  });
});
