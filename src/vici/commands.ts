import type { CallOptions } from "./call.ts";
import { ViciCommandError, ViciError } from "./errors.ts";
import { integer } from "./fields.ts";
import { type LogLine, readLogLine } from "./log.ts";
import type { Message, Scalar, Section } from "./message.ts";
import type { Session } from "./session.ts";

/** Which SAs, by name or by uniqueid; all that is given must match. */
export interface SaSelector {
  /** Name of the connection. */
  readonly ike?: string | undefined;
  /** Name of the child. */
  readonly child?: string | undefined;
  readonly ikeId?: number | undefined;
  readonly childId?: number | undefined;
}

/** A command that charon may take long over, and logs about. */
export interface LoggedOptions {
  readonly signal?: AbortSignal | undefined;
  /** Highest level to be told of; charon's default is 1. */
  readonly loglevel?: number | undefined;
  /** Called with each line as it comes. */
  readonly onLog?: ((line: LogLine) => void) | undefined;
}

/** Milliseconds that charon gets to say that its own time is over, before we no longer wait for it. */
export const MARGIN = 2000;

/** The answer as it is. @throws ViciCommandError when it says `success = no`. */
export function succeeded(command: string, answer: Message, log: readonly LogLine[]): Message {
  if (answer.text("success") !== "no") return answer;
  throw new ViciCommandError(command, answer.text("errmsg") ?? "refused, without a reason", log);
}

/** A request without the keys that were not given. */
export function given(entries: Readonly<Record<string, Section[string] | number | boolean | undefined>>): Section {
  return Object.fromEntries(
    Object.entries(entries).flatMap(([key, value]): [string, Section[string]][] =>
      value === undefined ? [] : [[key, asVici(value)]],
    ),
  );
}

/** The keys of {@link SaSelector}. */
export function selector(select: SaSelector): Section {
  return given({ ike: select.ike, child: select.child, "ike-id": select.ikeId, "child-id": select.childId });
}

/**
 * Sends a command that reports by `control-log`, and gathers what it logs.
 * @param timeout Milliseconds that charon takes at most; undefined leaves the deadline at the default.
 * @throws ViciError `INVALID` when the timeout is not over 0: to charon zero is without end.
 */
export async function converseWithLog(
  session: Session,
  command: string,
  request: Section,
  timeout: number | undefined,
  options: LoggedOptions,
): Promise<{ answer: Message; log: LogLine[] }> {
  if (timeout !== undefined && !(timeout > 0 && Number.isFinite(timeout))) {
    throw new ViciError("INVALID", `${command}: timeout is ${timeout}: give milliseconds over 0`);
  }
  const log: LogLine[] = [];
  const message = {
    ...request,
    ...given({ timeout: timeout === undefined ? undefined : Math.ceil(timeout), loglevel: options.loglevel }),
  };
  const call: CallOptions = { timeout: timeout === undefined ? undefined : timeout + MARGIN, signal: options.signal };
  const answer = await session.converse(command, "control-log", message, call, (event) => {
    const line = readLogLine(event);
    log.push(line);
    options.onLog?.(line);
  });
  return { answer, log };
}

/** How many SAs a command was meant for, and how many it ended. */
export function readTerminated(answer: Message): { matches: number; terminated: number } {
  return { matches: integer(answer, "matches") ?? 0, terminated: integer(answer, "terminated") ?? 0 };
}

function asVici(value: Section[string] | number | boolean): Scalar | readonly Scalar[] | Section {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "number" ? String(value) : value;
}
