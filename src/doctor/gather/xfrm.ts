import { openXfrm } from "../../netlink/open.ts";
import { listPolicies, listStates, type Policy, type XfrmState } from "../../netlink/xfrm.ts";

/** The kernel's security associations and policies. */
export interface XfrmFacts {
  readonly states: readonly XfrmState[];
  readonly policies: readonly Policy[];
}

/** Reads those of the node. @throws NetlinkError. */
export async function readXfrm(): Promise<XfrmFacts> {
  using nl = openXfrm();
  const [states, policies] = await Promise.all([listStates(nl), listPolicies(nl)]);
  return { states, policies };
}
