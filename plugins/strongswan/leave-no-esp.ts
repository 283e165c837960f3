import { podAddresses } from "../../src/attachment/addresses.ts";
import type { StrongswanAttachment } from "../../src/attachment/record.ts";
import { hostPrefix } from "../../src/net/prefix.ts";
import { openXfrm } from "../../src/netlink/open.ts";
import { ensureNoPolicy, listPolicies, listStates, type Policy, type XfrmState } from "../../src/netlink/xfrm.ts";
import { ensureNoState } from "../../src/netlink/xfrm-states.ts";
import { inNetns, type Netns } from "../../src/os/namespace.ts";

/** What an attachment's SAs and policies are known by. */
type Known = Pick<StrongswanAttachment, "ifname" | "virtualIPs" | "linkResult">;

/**
 * Removes the SAs and policies that a killed charon left in the pod's namespace: with kernel ESP they would go on, with
 * their keys, as long as that lives. The guard's policies stay. @throws NetlinkError.
 */
export async function leaveNoEsp(record: Known, netns: Netns): Promise<void> {
  using nl = inNetns(netns, openXfrm);
  const left = leftOf(record, { policies: await listPolicies(nl), states: await listStates(nl) });
  for (const policy of left.policies) await ensureNoPolicy(nl, policy);
  for (const state of left.states) await ensureNoState(nl, state);
}

/** Those of this attachment: another one's of the same pod has another link, and other virtual IPs. Pure. */
export function leftOf<P extends Pick<Policy, "src" | "dst" | "templates">, S extends Pick<XfrmState, "src" | "dst">>(
  { ifname, virtualIPs, linkResult }: Known,
  { policies, states }: { readonly policies: readonly P[]; readonly states: readonly S[] },
): { readonly policies: readonly P[]; readonly states: readonly S[] } {
  const virtual = virtualIPs.map(hostPrefix);
  const own = linkResult === undefined ? [] : podAddresses(linkResult, ifname).map(({ address }) => address);
  return {
    policies: policies.filter(
      ({ src, dst, templates }) => templates > 0 && (virtual.includes(src) || virtual.includes(dst)),
    ),
    states: states.filter(({ src, dst }) => own.includes(src) || own.includes(dst)),
  };
}
