/** Columns of a terminal. */
export const COLUMNS = 80;

/**
 * A line broken at spaces so that none is longer than {@link COLUMNS}, save where one word is; what follows the first is
 * indented. Pure. @param indent Columns.
 */
export function wrapped(line: string, indent = 2): string {
  const [first = "", ...words] = line.split(" ");
  const lines = [first];
  for (const word of words) {
    const last = lines.at(-1) ?? "";
    if (last.length + 1 + word.length <= COLUMNS) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(" ".repeat(indent) + word);
  }
  return lines.join("\n");
}
