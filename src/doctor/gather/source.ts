import { Fault } from "../../fault.ts";
import { type Check, type Finding, findingsOf } from "../finding.ts";

/** What a source told, or why it tells nothing. */
export type Gathered<T> = { readonly value: T } | { readonly failure: Finding };

/** Reads a source: one that fails becomes a finding, and hides no other. @param what It is, in words. */
export async function gathered<T>(check: Check, what: string, read: () => T | Promise<T>): Promise<Gathered<T>> {
  try {
    return { value: await read() };
  } catch (error) {
    return { failure: failureOf(check, what, error) };
  }
}

/** Findings of what was told, or of why nothing was. Pure. */
export function findingsFrom<T>(source: Gathered<T>, decide: (value: T) => readonly Finding[]): readonly Finding[] {
  return "value" in source ? decide(source.value) : [source.failure];
}

/** What was told, or undefined. Pure. */
export function told<T>(source: Gathered<T>): T | undefined {
  return "value" in source ? source.value : undefined;
}

function failureOf(check: Check, what: string, error: unknown): Finding {
  const { bad } = findingsOf(check);
  if (error instanceof Fault) return bad(`${what}: ${error.what}`, { remedy: error.remedy });
  const reason = error instanceof Error ? error.message : String(error);
  return bad(`${what}: ${reason}`, { remedy: "report this as an error of podvpn" });
}
