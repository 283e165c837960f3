import { ViciError } from "vici";
import { Code, Fault } from "../../fault.ts";
import { logTail } from "../../ipsec/charon.ts";
import { NODE_CHARON_DIRECTORY } from "./directory.ts";

/** The fault of a charon that answers no more; anything else stays what it is. @param when "while …". */
export function charonLost(when: string, cause: unknown): unknown {
  if (!(cause instanceof ViciError)) return cause;
  const what = `the node's charon ended or stopped answering ${when} (${cause.message})`;
  const details = logTail(NODE_CHARON_DIRECTORY);
  return new Fault(Code.charon, what, `see ${NODE_CHARON_DIRECTORY}/charon.log, and try again`, { details, cause });
}
