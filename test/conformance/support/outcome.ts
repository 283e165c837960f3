import { isObject, type JsonObject } from "../../../src/cni/json.ts";
import { must } from "./violation.ts";

/** The operations of the specification, and what a test may say instead. */
export type Command = "ADD" | "DEL" | "CHECK" | "GC" | "STATUS" | "VERSION";

/** How one call of a plugin ended. */
export interface Outcome {
  /** The call in words, for messages: `ADD with CNI_IFNAME "a/b"`. */
  readonly call: string;
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A CNI error as it was printed (section 5). */
export interface PrintedError {
  readonly code: number;
  readonly msg: string;
  readonly details: string;
  readonly cniVersion: unknown;
}

/** The error codes below 100 that the specification knows. */
export const WELL_KNOWN_CODES: readonly number[] = [1, 2, 3, 4, 5, 6, 7, 11, 50, 51];

/** All that a call printed, for a message. Pure. */
export function shown({ call, status, signal, stdout, stderr }: Outcome): string {
  const end = signal === null ? `exit status ${status}` : `killed by ${signal}`;
  const clipped = (text: string) => (text.length > 1500 ? `${text.slice(0, 1500)}…` : text).trim();
  return `${call}: ${end}; stdout: ${clipped(stdout) || "empty"}; stderr: ${clipped(stderr) || "empty"}`;
}

/** The one JSON object that was printed. @throws Violation when standard output is anything else. */
export function printedObject(outcome: Outcome): JsonObject {
  let json: unknown;
  try {
    json = JSON.parse(outcome.stdout);
  } catch {
    json = undefined;
  }
  must(isObject(json), `standard output should be one JSON object. ${shown(outcome)}`);
  return json;
}

/** @throws Violation unless it ended with exit status 0. */
export function requireSuccess(outcome: Outcome): void {
  must(outcome.status === 0, `should succeed. ${shown(outcome)}`);
}

/** As {@link requireSuccess}, and nothing on standard output. */
export function requireSilentSuccess(outcome: Outcome): void {
  requireSuccess(outcome);
  must(outcome.stdout.trim() === "", `should print nothing. ${shown(outcome)}`);
}

/** What an error must look like, beside its form. */
export interface ExpectedError {
  /** One of these. */
  readonly codes?: readonly number[];
  /** What message or details must name. */
  readonly names?: readonly string[];
}

/**
 * A failed call: non-zero exit status and one error object on standard output (section 2, Errors; section 5, Error).
 * @throws Violation when it is none, or not the one that is expected.
 */
export function requireError(outcome: Outcome, expected: ExpectedError = {}): PrintedError {
  const failed = outcome.status !== 0 && outcome.status !== null;
  must(failed, `should fail with an exit status of its own that is not 0. ${shown(outcome)}`);
  const { code, msg, details, cniVersion } = printedObject(outcome);
  must(typeof code === "number" && Number.isInteger(code), `code should be a number. ${shown(outcome)}`);
  must(typeof msg === "string" && msg !== "", `msg should be a message. ${shown(outcome)}`);
  must(details === undefined || typeof details === "string", `details should be text. ${shown(outcome)}`);
  const error = { code, msg, details: details ?? "", cniVersion };
  if (expected.codes !== undefined) {
    must(expected.codes.includes(code), `code should be ${expected.codes.join(" or ")}. ${shown(outcome)}`);
  }
  for (const name of expected.names ?? []) {
    const named = `${error.msg} ${error.details}`.includes(name);
    must(named, `the error should name ${name}. ${shown(outcome)}`);
  }
  return error;
}
