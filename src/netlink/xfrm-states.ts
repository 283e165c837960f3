import { addressBytes, family } from "../net/address.ts";
import { bigEndianU32, concat, u8, u16, zeros } from "./bytes.ts";
import { changed } from "./error.ts";
import { af } from "./family.ts";
import type { Netlink } from "./netlink.ts";
import { ensureNoPolicy, listPolicies, listStates, type XfrmState } from "./xfrm.ts";

/** What tells one security association from another (RFC 4301 section 4.1: for unicast the SPI alone would do). */
export type XfrmStateKey = Pick<XfrmState, "dst" | "spi" | "protocol">;

/** Removes a security association. @throws NetlinkError ESRCH when there is none. */
export async function removeState(nl: Netlink, state: XfrmStateKey): Promise<void> {
  await nl.change(XFRM_MSG_DELSA, 0, stateId(state), `remove the XFRM state ${state.spi.toString(16)} to ${state.dst}`);
}

/** True when the security association was removed, false when there was none. @throws NetlinkError */
export function ensureNoState(nl: Netlink, state: XfrmStateKey): Promise<boolean> {
  return changed(removeState(nl, state), "ESRCH");
}

/**
 * Removes all that XFRM has for the interfaces that `isMeant` says, policies first: without them nothing asks for states.
 * @throws NetlinkError
 */
export async function removeXfrmOf(nl: Netlink, isMeant: (ifId: number) => boolean): Promise<void> {
  for (const policy of await listPolicies(nl)) {
    if (policy.ifId !== undefined && isMeant(policy.ifId)) await ensureNoPolicy(nl, policy);
  }
  for (const state of await listStates(nl)) {
    if (state.ifId !== undefined && isMeant(state.ifId)) await ensureNoState(nl, state);
  }
}

/** struct xfrm_usersa_id (linux/xfrm.h), without a mark. */
function stateId({ dst, spi, protocol }: XfrmStateKey): Uint8Array {
  const bytes = addressBytes(dst);
  const header = [bigEndianU32(spi), u16(af(family(dst))), u8(protocol), zeros(1)];
  return concat(bytes, zeros(16 - bytes.length), ...header);
}

const XFRM_MSG_DELSA = 0x11;
