import type { LogLine } from "./log.ts";

/**
 * Why a call failed.
 * - `TIMEOUT`: no answer within the deadline. `ABORTED`: the caller's AbortSignal (its reason is the `cause`).
 * - `CLOSED`: the connection is gone: charon ended or died, or `close()` was called.
 * - `PROTOCOL`: charon sent what VICI does not allow. `INVALID`: the caller asked for what VICI cannot carry.
 * - `UNKNOWN_COMMAND`, `UNKNOWN_EVENT`: this charon does not have it (an older version, a plugin not loaded).
 * - `COMMAND_FAILED`: charon refused; always a {@link ViciCommandError}.
 * - `OVERFLOW`: events came faster than they were read.
 * - an errno of the socket: `ENOENT` (charon not started), `ECONNREFUSED` (socket left behind by a dead charon), `EACCES`.
 */
export type ViciErrorCode =
  | "TIMEOUT"
  | "ABORTED"
  | "CLOSED"
  | "PROTOCOL"
  | "INVALID"
  | "UNKNOWN_COMMAND"
  | "UNKNOWN_EVENT"
  | "COMMAND_FAILED"
  | "OVERFLOW"
  | `E${string}`;

/** Every failure of this package. Holds nothing of the request but the command's name, so never a secret. */
export class ViciError extends Error {
  override readonly name: string = "ViciError";
  readonly code: ViciErrorCode;

  constructor(code: ViciErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** charon understood the command and answered `success = no`. */
export class ViciCommandError extends ViciError {
  override readonly name = "ViciCommandError";
  readonly command: string;
  /** charon's own words; for `initiate` always generic: the reason is in {@link log}. */
  readonly errmsg: string;
  /** What charon logged about this command; empty for commands that have no log. */
  readonly log: readonly LogLine[];

  constructor(command: string, errmsg: string, log: readonly LogLine[]) {
    super("COMMAND_FAILED", `${command}: ${errmsg}`);
    this.command = command;
    this.errmsg = errmsg;
    this.log = log;
  }
}
