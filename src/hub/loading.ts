import { letIn, shutOut } from "../guard/deaf.ts";

const TABLE = "hub-loading";

/** To be called before charon starts: see {@link shutOut}. Idempotent. @throws NetlinkError. */
export function shutPodsOut(): Promise<void> {
  return shutOut(TABLE);
}

/** To be called when charon has its configuration, and when the hub is taken down. Idempotent. @throws NetlinkError. */
export function letPodsIn(): Promise<void> {
  return letIn(TABLE);
}
