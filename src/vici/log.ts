import { integer, requiredText } from "./fields.ts";
import type { Message } from "./message.ts";

/** A line of charon's log about one command (event `control-log`), or about anything (event `log`). */
export interface LogLine {
  /** Part of charon that speaks: IKE, CFG, ENC, NET, KNL, … */
  readonly group: string;
  /** 0 (audit) to 4 (sensitive); what is asked for by `loglevel` is the highest that comes. */
  readonly level: number;
  readonly ikesaName?: string | undefined;
  readonly ikesaUniqueid?: number | undefined;
  readonly msg: string;
}

/** Reads the message of a `control-log` or `log` event. @throws ViciError `PROTOCOL`. */
export function readLogLine(message: Message): LogLine {
  return {
    group: requiredText(message, "group"),
    level: integer(message, "level") ?? 0,
    ikesaName: message.text("ikesa-name"),
    ikesaUniqueid: integer(message, "ikesa-uniqueid"),
    msg: requiredText(message, "msg"),
  };
}
