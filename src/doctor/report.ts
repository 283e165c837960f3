import { COLUMNS, wrapped } from "../status/text.ts";
import { CHECKS, type Finding, isHealthy, type Outcome } from "./finding.ts";

/** Columns of the outcome, with what parts it from the text. */
const INDENT = 10;

const WORDS: Readonly<Record<Outcome, string>> = { ok: "ok", warning: "warning", bad: "bad", "not applicable": "-" };

/** The findings for a terminal, by check. Pure. @param width Columns to fit into; undefined breaks no line. */
export function doctorText(findings: readonly Finding[], width: number | undefined): string {
  const parts = CHECKS.flatMap((check) => {
    const own = findings.filter((finding) => finding.check === check);
    return own.length === 0 ? [] : [[`${check}\n`, ...own.map((finding) => findingText(finding, width))].join("")];
  });
  return `${parts.join("\n")}\n${conclusion(findings)}\n`;
}

/** The same for programs; `podvpn doctor --help` tells of the keys. Pure. */
export function doctorJson(findings: readonly Finding[]): string {
  return `${JSON.stringify({ healthy: isHealthy(findings), findings }, null, 2)}\n`;
}

function findingText({ outcome, what, remedy, command }: Finding, width: number | undefined): string {
  const lines = [
    `  ${WORDS[outcome].padEnd(INDENT - 2)}${what}`,
    ...(remedy === undefined ? [] : [`${" ".repeat(INDENT)}(${remedy})`]),
  ];
  const told = lines.map((line) => (width === undefined ? line : wrappedFrom(line)));
  const mending =
    command === undefined ? [] : commandLines(command, width).map((line) => `${" ".repeat(INDENT)}${line}`);
  return [...told, ...mending].map((line) => `${line}\n`).join("");
}

/** As `wrapped`, which takes the blanks at a line's beginning for words. */
function wrappedFrom(line: string): string {
  const [, indent = "", outcome = "", text = ""] = /^( *)((?:ok|warning|bad|-) +)?(.*)$/.exec(line) ?? [];
  const before = `${indent}${outcome}`;
  const [first = "", ...others] = wrapped(`${"x".repeat(before.length)}${text}`, INDENT).split("\n");
  return [`${before}${first.slice(before.length)}`, ...others].join("\n");
}

/** Shell lines that are one command: broken at blanks outside of quotes, so that it can be copied. Pure. */
export function commandLines(command: string, width: number | undefined): string[] {
  const whole = `$ ${command}`;
  if (width === undefined) return [whole];
  const room = (width ?? COLUMNS) - INDENT - CONTINUED.length;
  const lines = [""];
  for (const word of shellWords(whole)) {
    const last = lines.at(-1) ?? "";
    if (last === "" || last.length + 1 + word.length <= room)
      lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
    else lines.push(`    ${word}`);
  }
  return lines.map((line, index) => (index === lines.length - 1 ? line : `${line}${CONTINUED}`));
}

const CONTINUED = " \\";

/** At blanks outside of quotes. */
function shellWords(command: string): string[] {
  return command.match(/(?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^\s'"\\])+/g) ?? [];
}

function conclusion(findings: readonly Finding[]): string {
  const count = (outcome: Outcome) => findings.filter((finding) => finding.outcome === outcome).length;
  const [bad, warnings] = [count("bad"), count("warning")];
  const also = warnings === 0 ? "" : `${warnings} ${warnings === 1 ? "warning" : "warnings"}`;
  if (bad > 0) return `${bad} bad${also === "" ? "" : `, ${also}`}: mend them from the top, and ask again`;
  return also === "" ? "all is well" : `nothing is bad; ${also}`;
}
