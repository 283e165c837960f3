import { COLUMNS } from "../status/text.ts";

/** Rows as columns of equal width, two spaces apart, indented by two. The first row is the heading. Pure. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "));
  return lines.map((line) => `  ${line}`.trimEnd()).join("\n");
}

/** A table of what each pod measured to each other: `cell(from, to)`. Pure. */
export function matrix(names: readonly string[], cell: (from: string, to: string) => string): string {
  const rows = names.map((from) => [from, ...names.map((to) => (from === to ? "-" : cell(from, to)).padStart(6))]);
  return table([["", ...names.map((name) => name.padStart(6))], ...rows]);
}

/** Cut to the terminal's width, with a mark where it was. Pure. */
export function cut(line: string, width = COLUMNS): string {
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`;
}

/** In place of a time, when there was no answer. */
export const LOST = "lost";

/** Milliseconds as ping(8) measured them, to three digits; {@link LOST} when there was no answer. Pure. */
export function roundTrip(pingOutput: string): string {
  const time = / time=([\d.]+) ms/.exec(pingOutput)?.[1];
  return time === undefined ? LOST : Number(time).toPrecision(3);
}
