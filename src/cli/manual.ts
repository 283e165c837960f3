/** A command's help, taken apart. */
export interface Manual {
  /** How it is called, each line by itself, as it stands. */
  readonly usage: readonly string[];
  /** Paragraphs, each in one line. */
  readonly description: readonly string[];
  readonly sections: readonly Section[];
}

/** What stands below a title: `Options`, `Exit status`, `Files`, `Examples`. */
export interface Section {
  readonly title: string;
  /** Without the two columns by which all of them are indented. */
  readonly lines: readonly string[];
}

const USAGE = "Usage: ";
/** Alone in its line; all that belongs to it is indented. */
const TITLE = /^([A-Z][^.]*):$/;

/**
 * Reads a command's help: `Usage:` first, then paragraphs, then sections, each a title of its own line with a colon and
 * indented lines below it. Paragraphs between sections are the description's. Pure.
 */
export function parseManual(help: string): Manual {
  const [first = [], ...blocks] = help
    .trim()
    .split(/\n{2,}/)
    .map((block) => block.split("\n"));
  const usage = first.map((line) => line.slice(USAGE.length));
  const description: string[] = [];
  const sections: { title: string; lines: string[] }[] = [];
  for (const block of blocks) {
    const [, title] = TITLE.exec(block[0] ?? "") ?? [];
    const last = sections.at(-1);
    if (title !== undefined) sections.push({ title, lines: block.slice(1).map(unindented) });
    else if (last !== undefined && block.every((line) => line.startsWith(INDENT)))
      last.lines.push("", ...block.map(unindented));
    else description.push(block.join(" "));
  }
  return { usage, description, sections };
}

/** What each option does, by its name without the dashes, in one line. Pure. */
export function optionTexts({ sections }: Manual): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  let name: string | undefined;
  for (const line of sections.find(({ title }) => title === "Options")?.lines ?? []) {
    const [, found, text = ""] = /^--([a-z][a-z-]*)(?: \S+)?(?: {2,}(.*))?$/.exec(line) ?? [];
    name = found ?? name;
    if (found !== undefined) texts.set(found, text);
    else if (name !== undefined) texts.set(name, `${texts.get(name) ?? ""} ${line.trim()}`.trim());
  }
  return texts;
}

/** The manual page of a command in Markdown. Pure. */
export function manualPage(name: string, summary: string, help: string): string {
  const { usage, description, sections } = parseManual(help);
  const parts = [
    `# podvpn ${name}`,
    `${prose(`${summary.slice(0, 1).toUpperCase()}${summary.slice(1)}`)}.`,
    "## Usage",
    fenced(usage),
    "## Description",
    ...description.map(prose),
    ...sections.flatMap(({ title, lines }) => [`## ${prose(title)}`, fenced(lines)]),
  ];
  return `${parts.join("\n\n")}\n`;
}

const INDENT = "  ";

function unindented(line: string): string {
  return line.startsWith(INDENT) ? line.slice(INDENT.length) : line;
}

function fenced(lines: readonly string[]): string {
  return ["```", ...lines, "```"].join("\n");
}

/** Text of which Markdown shall make nothing but text, save `code` that is so in the help. */
function prose(text: string): string {
  return text
    .split(/(`[^`]*`)/)
    .map((part) => (part.startsWith("`") ? part : part.replaceAll(/[\\*_<>[\]#|]/g, "\\$&")))
    .join("");
}
