import { type Document, isMap, isScalar, isSeq, LineCounter, type ParsedNode, parseDocument } from "yaml";
import { Code, Fault } from "../fault.ts";
import { pathOf } from "./issues.ts";

/** What YAML text holds, and where it stands. */
export interface LocatedYaml {
  readonly value: unknown;
  /** The line of the field whose path `what` begins with, as `pathOf` writes it; else of what is around that field. */
  readonly lineOf: (what: string) => number;
}

/** Why a text is no YAML: what, after the name of the file, and what to do about it. */
export interface YamlDamage {
  readonly line?: number;
  readonly what: string;
  readonly remedy: string;
  readonly cause?: unknown;
}

/**
 * What YAML 1.2 text holds.
 * @param file For messages: where it comes from.
 * @throws Fault 6 that names the line and never quotes it: a key may stand there by mistake.
 */
export function parseYaml(text: string, file: string): unknown {
  const read = readYaml(text);
  if ("value" in read) return read.value;
  const { line, what, remedy, cause } = read;
  throw new Fault(Code.decode, `${line === undefined ? file : `${file}:${line}`} ${what}`, remedy, {
    ...(cause === undefined ? {} : { cause }),
  });
}

/** {@link parseYaml} for those who tell more than one error, each with its line. */
export function readYaml(text: string): LocatedYaml | YamlDamage {
  const lineCounter = new LineCounter();
  let document: Document.Parsed;
  try {
    // Its warnings would go to standard error, and quote.
    document = parseDocument(text, { prettyErrors: false, lineCounter, logLevel: "error" });
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    return { what: "is nested too deeply", remedy: "write it flat", cause }; // yaml (2.9.1) ran out of stack
  }
  const [error] = document.errors;
  if (error !== undefined) {
    const { line } = lineCounter.linePos(error.pos[0]);
    return { line, what: `is not YAML (${error.code})`, remedy: "correct the syntax there" };
  }
  try {
    return { value: document.toJS(), lineOf: (what) => lineOf(document, lineCounter, what) };
  } catch (cause) {
    // An alias without an anchor, or ever more aliases of aliases: both show only when they are resolved.
    return { what: "has an alias (*name) that cannot be resolved", remedy: "write the value itself", cause };
  }
}

function lineOf(document: Document.Parsed, lineCounter: LineCounter, what: string): number {
  let best = { path: "", offset: document.contents?.range[0] ?? 0 };
  for (const { path, offset } of fieldsOf(document.contents, "")) {
    if (path.length > best.path.length && what.startsWith(path) && !/^[\w-]/.test(what.slice(path.length))) {
      best = { path, offset };
    }
  }
  return lineCounter.linePos(best.offset).line;
}

/** All fields in `node`, with where they begin: a key where it stands, an item of a list where its value does. */
function* fieldsOf(node: ParsedNode | null, parent: string): Generator<{ path: string; offset: number }> {
  if (isMap<ParsedNode, ParsedNode | null>(node)) {
    for (const { key, value } of node.items) {
      if (!isScalar(key)) continue;
      const path = pathOf(parent, String(key.value));
      yield { path, offset: key.range[0] };
      yield* fieldsOf(value, path);
    }
  } else if (isSeq<ParsedNode>(node)) {
    for (const [index, item] of node.items.entries()) {
      const path = pathOf(parent, index);
      yield { path, offset: item.range[0] };
      yield* fieldsOf(item, path);
    }
  }
}
