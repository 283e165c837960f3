import { LineCounter, parseDocument } from "yaml";
import { Code, Fault } from "../fault.ts";

/**
 * What YAML 1.2 text holds.
 * @param file For messages: where it comes from.
 * @throws Fault 6 that names the line and never quotes it: a key may stand there by mistake.
 */
export function parseYaml(text: string, file: string): unknown {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { prettyErrors: false, lineCounter });
  const [error] = document.errors;
  if (error !== undefined) {
    const { line } = lineCounter.linePos(error.pos[0]);
    throw new Fault(Code.decode, `${file}:${line} is not YAML (${error.code})`, "correct the syntax there");
  }
  try {
    return document.toJS();
  } catch (cause) {
    // An alias without an anchor, or ever more aliases of aliases: both show only when they are resolved.
    throw new Fault(Code.decode, `${file} has an alias (*name) that cannot be resolved`, "write the value itself", {
      cause,
    });
  }
}
