import { Code, Fault } from "../fault.ts";

/** One thing that is wrong with a configuration, in the two halves of a {@link Fault}. */
export interface Issue {
  /** Begins with the path of the field (`vpn.virtualSubnet[1] is "x"`); never holds a secret. */
  readonly what: string;
  /** A sentence in the imperative. */
  readonly remedy: string;
}

/** More would make an error that no runtime prints and nobody reads. */
const ISSUES_SHOWN = 20;

/** All issues in one Fault 7: in its message, and one a line in its details. */
export function issuesFault(issues: readonly [Issue, ...Issue[]]): Fault {
  const [first, ...others] = issues;
  if (others.length === 0) return new Fault(Code.invalidConfig, first.what, first.remedy);
  const lines = issues.slice(0, ISSUES_SHOWN).map(({ what, remedy }) => `${what}: ${remedy}`);
  if (issues.length > ISSUES_SHOWN) lines.push(`and ${issues.length - ISSUES_SHOWN} more`);
  const what = `the network configuration has ${issues.length} errors: ${lines.join("; ")}`;
  return new Fault(Code.invalidConfig, what, "correct them all", { details: lines.join("\n") });
}

/** All issues of a file that an operator wrote in one Fault 7, for a terminal: one line for each. */
export function fileFault(file: string, issues: readonly [Issue, ...Issue[]]): Fault {
  const [first, ...others] = issues;
  if (others.length === 0) return new Fault(Code.invalidConfig, `${file}: ${first.what}`, first.remedy);
  const details = issues.map(({ what, remedy }) => `  ${what}: ${remedy}`).join("\n");
  return new Fault(Code.invalidConfig, `${file} has ${issues.length} errors`, "correct them all:", { details });
}

/** Characters of a value that are shown. */
const VALUE_SHOWN = 60;

/**
 * A JSON value as messages show it: a scalar as JSON, shortened; of a list or an object only that it is one, for it may
 * hold a secret at a place where none belongs.
 */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object" && value !== null) return "an object";
  return shortened(JSON.stringify(value) ?? "undefined");
}

/** `vpn` and `serverIP` make `vpn.serverIP`; an index, or a key that is no word, goes into brackets. */
export function pathOf(parent: string, key: string | number): string {
  if (typeof key === "number") return `${parent}[${key}]`;
  if (!/^[\w-]{1,60}$/.test(key)) return `${parent}[${shortened(JSON.stringify(key))}]`;
  return parent === "" ? key : `${parent}.${key}`;
}

function shortened(text: string): string {
  return text.length > VALUE_SHOWN ? `${text.slice(0, VALUE_SHOWN)}…` : text;
}
