import { type Address, addressFromBytes } from "../net/address.ts";
import { parseAttributes } from "./attributes.ts";
import { readU16, readU32, zeros } from "./bytes.ts";
import { versionOf } from "./family.ts";
import type { Netlink } from "./netlink.ts";
import { ensureNoPolicy, listStates, type Policy, parsePolicy, type XfrmState } from "./xfrm.ts";
import { ensureNoState } from "./xfrm-states.ts";

/** A policy that sends its packets through a tunnel, or wants them to have come through one. */
export interface TunnelPolicy extends Policy {
  readonly tunnel: TunnelEnds;
}

/** What tells which states serve a policy. */
export interface TunnelEnds {
  readonly src: Address;
  readonly dst: Address;
  readonly reqid: number;
}

/** All policies with a tunnel that is for no XFRM interface. @throws NetlinkError */
export async function listTunnelPolicies(nl: Netlink): Promise<TunnelPolicy[]> {
  const messages = await nl.dump(XFRM_MSG_GETPOLICY, zeros(0), "list the XFRM policies");
  return messages.flatMap((message) => {
    const policy = parsePolicy(message);
    const template = parseAttributes(message.body.subarray(USERPOLICY_INFO)).get(XFRMA_TMPL);
    if (policy === undefined || policy.ifId !== undefined || template === undefined) return [];
    return [{ ...policy, tunnel: parseTemplate(template) }];
  });
}

/**
 * Removes tunnels together with the states that serve them, policies first: without them nothing asks for states. Those
 * of XFRM interfaces are somebody else's. @param isMeant By its selector. @returns How many states. @throws NetlinkError
 */
export async function removeTunnels(nl: Netlink, isMeant: (policy: TunnelPolicy) => boolean): Promise<number> {
  const meant = (await listTunnelPolicies(nl)).filter(isMeant);
  for (const policy of meant) await ensureNoPolicy(nl, policy);
  const states = statesOf(
    meant.map(({ tunnel }) => tunnel),
    await listStates(nl),
  );
  for (const state of states) await ensureNoState(nl, state);
  return states.length;
}

/** The states of both directions that serve one of the tunnels. Pure. */
export function statesOf(tunnels: readonly TunnelEnds[], states: readonly XfrmState[]): XfrmState[] {
  const keys = new Set(tunnels.map(keyOf));
  return states.filter((state) => state.ifId === undefined && keys.has(keyOf(state)));
}

function keyOf({ src, dst, reqid }: TunnelEnds): string {
  return `${src} ${dst} ${reqid}`;
}

/** struct xfrm_user_tmpl (linux/xfrm.h): the first of them. */
function parseTemplate(bytes: Uint8Array): TunnelEnds {
  const length = versionOf(readU16(bytes, 24)) === 6 ? 16 : 4;
  return {
    dst: addressFromBytes(bytes.subarray(0, length)),
    src: addressFromBytes(bytes.subarray(28, 28 + length)),
    reqid: readU32(bytes, 44),
  };
}

const USERPOLICY_INFO = 168;
const XFRM_MSG_GETPOLICY = 0x15;
const XFRMA_TMPL = 5;
