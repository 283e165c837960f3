import { Code, Fault } from "../fault.ts";
import { type Attachment, type AttachmentKey, readAttachment } from "./record.ts";

/**
 * SPEC 1.1.0: a second ADD without a DEL is an error; what a killed ADD left is cleared away first.
 * @param mine Whether a record is of the plugin that asks. @param clear What its DEL does. @throws Fault 4.
 */
export async function requireFree<A extends Attachment>(
  { containerID, ifname }: AttachmentKey,
  directory: string,
  mine: (record: Attachment) => record is A,
  clear: (record: A) => Promise<void>,
): Promise<void> {
  const record = readAttachment(directory);
  if (record === undefined) return;
  if (record.phase === "adding" && mine(record)) return clear(record);
  throw new Fault(
    Code.invalidEnvironment,
    `container ${containerID} already has ${ifname} on network ${record.network}`,
    "call DEL before a second ADD",
  );
}
