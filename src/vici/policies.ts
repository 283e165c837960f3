import { requiredText } from "./fields.ts";
import type { Message } from "./message.ts";

/** An installed trap, bypass or drop policy (event `list-policy`). */
export interface Policy {
  readonly child: string;
  readonly ike: string;
  /** TUNNEL, TRANSPORT or BEET of a trap; PASS; DROP. */
  readonly mode: string;
  readonly localTs: readonly string[];
  readonly remoteTs: readonly string[];
}

/** The policies of a `list-policy` event. @throws ViciError `PROTOCOL`. */
export function readPolicies(message: Message): Policy[] {
  return message.sections().map(([, policy]) => ({
    child: requiredText(policy, "child"),
    ike: requiredText(policy, "ike"),
    mode: requiredText(policy, "mode"),
    localTs: policy.list("local-ts"),
    remoteTs: policy.list("remote-ts"),
  }));
}
