import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { frame, type Look, type Screen, watch } from "../../../src/status/watching.ts";

const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";

/** Ends the watch after so many looks, and keeps what was written. */
function watched(rows: number | undefined, looks: number, look?: (count: number) => Promise<Look>) {
  const stop = new AbortController();
  const written: string[] = [];
  const screen: Screen = { rows: () => rows, write: (text) => void written.push(text) };
  let count = 0;
  const end = watch(
    async () => {
      count += 1;
      if (count === looks) stop.abort();
      return look === undefined ? { text: `look ${count}\n`, isHealthy: count % 2 === 0 } : look(count);
    },
    screen,
    stop.signal,
    1,
  );
  return { end, written, stop };
}

describe("a watch", () => {
  it("writes one look below the other where there is no terminal", async () => {
    const { end, written } = watched(undefined, 3);
    await end;
    expect(written.slice(0, 2).join("")).toBe("look 1\n\nlook 2\n");
    expect(written.join("")).not.toContain("\u001b");
  });

  it("shows one look in the place of the other on a terminal, and leaves the last one on it as it was before", async () => {
    const { end, written } = watched(24, 2);
    await end;
    const all = written.join("");
    expect(all.startsWith(`${ENTER}\u001b[Hlook 1\u001b[K\u001b[J`)).toBe(true);
    expect(written.at(-1)).toBe(`${LEAVE}look 2\n`);
    expect(all.split(ENTER)).toHaveLength(2);
  });

  it("ends with the last look, which says how all is", async () => {
    expect(await watched(undefined, 1).end).toEqual({ text: "look 1\n", isHealthy: false });
  });

  it("ends at once though a look hangs, when there was one before", async () => {
    const never = new Promise<Look>(() => {});
    const { end, stop } = watched(24, -1, async (count) => {
      if (count === 1) return { text: "first\n", isHealthy: true };
      setImmediate(() => stop.abort());
      return never;
    });
    expect(await end).toEqual({ text: "first\n", isHealthy: true });
  });

  it("gives the terminal back when a look fails", async () => {
    const { end, written } = watched(24, -1, async (count) => {
      if (count === 2) throw new Error("no records");
      return { text: "first\n", isHealthy: true };
    });
    await expect(end).rejects.toThrow("no records");
    expect(written.at(-1)).toBe(`${LEAVE}first\n`);
  });
});

describe("a frame", () => {
  const lines = (count: number) => Array.from({ length: count }, (_, index) => `line ${index + 1}\n`).join("");
  const shown = (text: string) => stripVTControlCharacters(text).split("\n");

  it("has no more lines than the terminal, and always the last one", () => {
    expect(shown(frame(lines(10), 5))).toEqual(["line 1", "line 2", "line 3", "… 6 more lines", "line 10"]);
    expect(shown(frame(lines(5), 5))).toHaveLength(5);
    expect(shown(frame(lines(6), 5))).toEqual(["line 1", "line 2", "line 3", "… 2 more lines", "line 6"]);
    expect(shown(frame(lines(9), 1))).toHaveLength(3);
    expect(shown(frame(lines(99), 0))).toHaveLength(99); // its height is not known
  });

  it("erases what a longer line before it leaves", () => {
    expect(frame("a\nb\n", 24)).toBe("\u001b[Ha\u001b[K\nb\u001b[K\u001b[J");
  });
});
