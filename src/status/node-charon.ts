import type { IkeSa } from "vici";
import { findCharon, openVici } from "../ipsec/charon.ts";
import { NODE_CHARON_DIRECTORY, sharedAttachments } from "../node/charon/directory.ts";
import { problemOf } from "./devices.ts";
import { within } from "./within.ts";

/** The charon that the node has for its pods, asked once for all of them. */
export interface NodeCharonView {
  /** How many pods' tunnels it has to look after. */
  readonly pods: number;
  /** Absent: it does not run, or does not answer. */
  readonly sas?: readonly IkeSa[];
  /** What does not work, in words. */
  readonly problems: readonly string[];
}

/** Milliseconds: it takes one for each pod. */
const ANSWER = 5000;

/** Looks at it. Undefined when no pod needs it. @throws Fault 5 when the records cannot be listed. */
export async function viewNodeCharon(): Promise<NodeCharonView | undefined> {
  const pods = sharedAttachments().length;
  if (pods === 0) return undefined;
  using charon = findCharon(NODE_CHARON_DIRECTORY);
  if (charon === undefined) {
    return { pods, problems: ["the node's charon does not run: the next ADD or CHECK starts it, with all tunnels"] };
  }
  const reading = (async () => {
    await using vici = await openVici(NODE_CHARON_DIRECTORY, ANSWER);
    const sas: IkeSa[] = [];
    for await (const sa of vici.listSas({}, { timeout: ANSWER })) sas.push(sa);
    return sas;
  })();
  try {
    return { pods, sas: await within(ANSWER, "the node's charon", reading), problems: [] };
  } catch (error) {
    return { pods, problems: [`${problemOf(error)}: the next ADD or CHECK starts it anew`] };
  }
}
