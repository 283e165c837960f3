import { describe, expect, test } from "vitest";
import { notesOf, withMesh } from "../../../bench/document.ts";
import { pairedRatio, pairedSum, summary } from "../../../bench/statistics.ts";
import { stepTable } from "../../../bench/tables.ts";

describe("a summary", () => {
  test("has the middle value of an odd count, and the mean of the two middle ones of an even one", () => {
    expect(summary([3, 1, 100])).toEqual({ min: 1, median: 3, max: 100, count: 3 });
    expect(summary([4, 1, 2, 100]).median).toBe(3);
  });

  test("of nothing is refused, not zero", () => {
    expect(() => summary([])).toThrow(RangeError);
  });
});

describe("ratios", () => {
  test("are made round by round: a machine that gets slower does not change them", () => {
    expect(pairedRatio([20, 40, 80], [10, 20, 40])).toMatchObject({ min: 2, median: 2, max: 2 });
  });

  test("of series of different lengths are refused", () => {
    expect(() => pairedRatio([1, 2], [1])).toThrow(RangeError);
    expect(() => pairedSum([1], [1, 2])).toThrow(RangeError);
  });
});

describe("the section of the mesh", () => {
  test("is put among the notes, and replaced where there is one, and nothing else", () => {
    const notes = notesOf("");
    const first = withMesh(`# Before\n\n${notes}\n\nby hand\n`, "first");
    expect(first).toContain("by hand");
    const second = withMesh(`${first}\nafter it\n`, "second");
    expect(second).not.toContain("first");
    expect(second.replace("second", "first")).toBe(`${first}\nafter it\n`);
    expect(notesOf(second)).toContain("second");
  });
});

describe("the document", () => {
  test("keeps what was written by hand, mark included, whatever stands before it", () => {
    const kept = notesOf("");
    expect(notesOf(`# old figures\n\n${kept}\n\n- a note\n`)).toBe(`${kept}\n\n- a note\n`);
  });

  test("orders steps by when they were reached, and leaves out those that not every run has", () => {
    const table = stepTable([
      [
        ["late", 30],
        ["early", 10],
        ["retry", 20],
      ],
      [
        ["early", 12],
        ["late", 28],
      ],
    ]);
    expect(table.split("\n").slice(2)).toEqual(["| early | 11.0 | 11.0 |", "| late | 29.0 | 18.0 |"]);
  });
});
