import { shorten } from "../hub/lease-table.ts";
import { type Paint, plain } from "./paint.ts";
import { wrapped } from "./text.ts";

/** A row of a table, with what is said below it. */
export interface Row {
  readonly cells: readonly string[];
  /** Further lines of single cells: a second address below the first. */
  readonly more?: readonly (readonly string[])[];
  readonly notes?: readonly string[];
}

/** A column. */
export interface Column {
  readonly title: string;
  /** May be shortened to so many columns, in its middle, to make the table fit. */
  readonly least?: number;
  readonly right?: boolean;
  /** Whether its cells are painted. */
  readonly isState?: boolean;
}

const GAP = "  ";

/**
 * A table for a terminal. Pure.
 * @param width Columns to fit into, as far as may be shortened; undefined shortens nothing.
 */
export function table(
  columns: readonly Column[],
  rows: readonly Row[],
  width: number | undefined,
  paint: Paint = plain,
): string {
  const all = [columns.map(({ title }) => title), ...rows.flatMap(({ cells, more = [] }) => [cells, ...more])];
  const widths = shrunk(
    columns,
    columns.map((_, index) => Math.max(...all.map((row) => row[index]?.length ?? 0))),
    width,
  );
  const line = (cells: readonly string[]) =>
    columns
      .map(({ right, isState }, index) => {
        const room = widths[index] ?? 0;
        const text = shorten(cells[index] ?? "", room);
        const rest = " ".repeat(room - text.length);
        const shown = isState ? paint(text) : text;
        return right ? rest + shown : shown + rest;
      })
      .join(GAP)
      .trimEnd();
  const note = (text: string) => (width === undefined ? `  ${text}` : `  ${wrapped(text, 4)}`);
  return [
    line(columns.map(({ title }) => title)),
    ...rows.flatMap(({ cells, more = [], notes = [] }) => [line(cells), ...more.map(line), ...notes.map(note)]),
  ]
    .map((text) => `${text}\n`)
    .join("");
}

/** The widest of those that may shrink does, again and again: what is short already stays whole. */
function shrunk(columns: readonly Column[], natural: readonly number[], width: number | undefined): readonly number[] {
  const widths = [...natural];
  const total = () => widths.reduce((sum, each) => sum + each, GAP.length * (widths.length - 1));
  while (width !== undefined && total() > width) {
    const room = (index: number) => (widths[index] ?? 0) - (columns[index]?.least ?? Number.POSITIVE_INFINITY);
    const shrinkable = columns.map((_, index) => index).filter((index) => room(index) > 0);
    const widest = shrinkable.toSorted((one, other) => (widths[other] ?? 0) - (widths[one] ?? 0))[0];
    if (widest === undefined) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}
