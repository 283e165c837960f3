import { Code, Fault } from "../fault.ts";
import { defined } from "./json.ts";
import type { CniVersion } from "./version.ts";

/** SPEC 1.1.0, section 2, "Error". */
export interface CniError {
  readonly cniVersion: CniVersion;
  readonly code: number;
  readonly msg: string;
  readonly details?: string;
}

/**
 * Whatever was thrown, as the CNI error that the plugin prints. A Fault says it itself; anything else is a fault of
 * ours. An undo that failed on the way does not hide what went wrong first: it is told in `details`.
 */
export function formatError(thrown: unknown, version: CniVersion): CniError {
  const [first, ...others] = inOrder(thrown);
  const { code, message, details } = first instanceof Fault ? first : internalFault(first);
  const lines = [...(details === undefined ? [] : [details]), ...others.map((other) => `also: ${describe(other)}`)];
  return defined({
    cniVersion: version,
    code,
    msg: message,
    details: lines.length === 0 ? undefined : lines.join("\n"),
  });
}

/**
 * The error of a DEL, in words that no runtime takes for success: go-cni (containerd) ignores a failed DEL that says
 * "not found" anywhere, or "no such file or directory" when there is no namespace. A delegate's words are changed too:
 * what it could not clean up would else never be tried again.
 */
export function formatDelError(thrown: unknown, version: CniVersion): CniError {
  const error = formatError(thrown, version);
  return defined({ ...error, msg: unmistakable(error.msg), details: error.details && unmistakable(error.details) });
}

function unmistakable(text: string): string {
  return text
    .replaceAll(/not found/gi, "missing")
    .replaceAll(/no such file or directory/gi, "missing file or directory");
}

/**
 * `await using` throws a SuppressedError when the work failed and then an undo did; work side by side an AggregateError.
 * What was thrown first comes first, and of several at once the one that a user can act on.
 */
function inOrder(thrown: unknown): unknown[] {
  if (thrown instanceof SuppressedError) return [...inOrder(thrown.suppressed), ...inOrder(thrown.error)];
  if (thrown instanceof AggregateError && thrown.errors.length > 0) {
    const errors = thrown.errors.flatMap(inOrder);
    const isFault = (error: unknown) => error instanceof Fault;
    return [...errors.filter(isFault), ...errors.filter((error) => !isFault(error))];
  }
  return [thrown];
}

function internalFault(thrown: unknown): Fault {
  const stack = thrown instanceof Error ? thrown.stack : undefined;
  return new Fault(
    Code.internal,
    `internal error: ${describe(thrown)}`,
    "report it to the podvpn project, with these details",
    defined({ details: stack, cause: thrown }),
  );
}

function describe(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
