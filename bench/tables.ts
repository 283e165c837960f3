import type { Series } from "./rounds.ts";
import { type Summary, summary } from "./statistics.ts";
import type { Steps } from "./steps.ts";

/** One ratio: what it is of, its values round by round, and what it shall not exceed, or not fall below. */
export interface Ratio {
  readonly name: string;
  readonly values: Summary;
  readonly aim?: string;
}

/** Every series there is. Pure. */
export function timeTable(series: Series, unit = "ms"): string {
  const rows = Object.entries(series).map(([name, values]) => [name, ...figures(summary(values), 1)]);
  return table([unit, "min", "median", "max"], rows);
}

/** Pure. */
export function ratioTable(ratios: readonly Ratio[]): string {
  return table(
    ["ratio", "min", "median", "max", "aim"],
    ratios.map(({ name, values, aim }) => [name, ...figures(values, 2), aim ?? ""]),
  );
}

/** Steps that only some runs have (a retry) are left out. Pure. */
export function stepTable(runs: readonly Steps[]): string {
  const names = (runs[0] ?? []).map(([step]) => step);
  const reached = names.flatMap((name) => {
    const times = runs.flatMap((run) => run.filter(([step]) => step === name).map(([, time]) => time));
    return times.length === runs.length ? [{ name, time: summary(times).median }] : [];
  });
  const sorted = reached.toSorted((a, b) => a.time - b.time);
  const rows = sorted.map(({ name, time }, index) => {
    const before = sorted[index - 1]?.time ?? 0;
    return [name, time.toFixed(1), (time - before).toFixed(1)];
  });
  return table(["step", "at", "since the last"], rows);
}

/** A Markdown table: the first column is text, the others are figures. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rule = head.map((_, index) => (index === 0 || head.length === 2 ? "---" : "---:"));
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}

function figures({ min, median, max }: Summary, digits: number): string[] {
  return [min, median, max].map((value) => value.toFixed(digits));
}
