import { type Address, addressBytes, addressFromBytes, type Family } from "../net/address.ts";
import { networkAddress, type Prefix, prefixLength, prefixOf } from "../net/prefix.ts";
import { type Attributes, optional, parseAttributes, u32Of } from "./attributes.ts";
import { concat, readBigEndianU32, readU8, readU16, readU32, u8, u16, u32, u64, zeros } from "./bytes.ts";
import { changed } from "./error.ts";
import { afOf, versionOf } from "./family.ts";
import { type Message, NLM_F_CREATE, NLM_F_EXCL } from "./message.ts";
import type { Netlink } from "./netlink.ts";

/** Which packets a policy is asked about: received for here, sent from here, or forwarded. */
export type Direction = keyof typeof DIRECTIONS;

/**
 * What tells one policy from another: no two may agree in all of these, whatever their priority. So a block policy must
 * never have the selector of one of charon's, which would take its place and be removed with the SA.
 */
export interface XfrmSelector {
  readonly direction: Direction;
  readonly src: Prefix;
  /** Of the same family as `src`. */
  readonly dst: Prefix;
  /** The XFRM interface that it is for; absent: none. */
  readonly ifId?: number;
}

/** A policy without transformations: what it matches passes in plain ("allow") or is dropped ("block"). */
export interface WantedPolicy extends XfrmSelector {
  readonly action: "allow" | "block";
  /** The policy with the lowest number that matches a packet decides; charon's are near 375,000. */
  readonly priority: number;
}

/** A policy as the kernel has it. */
export interface Policy extends WantedPolicy {
  /** Transformations (SAs) that a packet must have gone through, or is sent through; 0: none. */
  readonly templates: number;
}

/** A security association (one direction). Keys are never read out of the message. */
export interface XfrmState {
  readonly spi: number;
  readonly src: Address;
  readonly dst: Address;
  /** IP protocol: 50 is ESP. */
  readonly protocol: number;
  readonly reqid: number;
  readonly ifId?: number;
}

/** @throws NetlinkError EEXIST when there is a policy with this selector. */
export async function addPolicy(nl: Netlink, policy: WantedPolicy): Promise<void> {
  const body = concat(
    selector(policy),
    ...Array.from({ length: 4 }, () => u64(NO_LIMIT)), // soft and hard limits of bytes and packets
    zeros(32), // soft and hard limits of age and use in seconds: 0 is none
    zeros(32), // lifetime so far
    u32(policy.priority),
    u32(0), // index: chosen by the kernel
    u8(DIRECTIONS[policy.direction]),
    u8(ACTIONS[policy.action]),
    u8(0), // flags
    u8(0), // share
    zeros(4),
    optional(XFRMA_IF_ID, policy.ifId, u32),
  );
  await nl.change(XFRM_MSG_NEWPOLICY, NLM_F_CREATE | NLM_F_EXCL, body, `add the ${policy.action} ${text(policy)}`);
}

/**
 * True when the policy was added, false when there was one with this selector, be its action and priority what they
 * may: charon's own is not overwritten. Read back with {@link listPolicies} where that matters.
 * @throws NetlinkError
 */
export function ensurePolicy(nl: Netlink, policy: WantedPolicy): Promise<boolean> {
  return changed(addPolicy(nl, policy), "EEXIST");
}

/** Removes the policy with this selector. @throws NetlinkError ENOENT when there is none. */
export async function removePolicy(nl: Netlink, policy: XfrmSelector): Promise<void> {
  const id = concat(selector(policy), u32(0), u8(DIRECTIONS[policy.direction]), zeros(3));
  const body = concat(id, optional(XFRMA_IF_ID, policy.ifId, u32));
  await nl.change(XFRM_MSG_DELPOLICY, 0, body, `remove the ${text(policy)}`);
}

/** True when the policy was removed, false when there was none. @throws NetlinkError */
export function ensureNoPolicy(nl: Netlink, policy: XfrmSelector): Promise<boolean> {
  return changed(removePolicy(nl, policy), "ENOENT");
}

/** All policies of the namespace, without those of single sockets (an IKE daemon's bypass). @throws NetlinkError */
export async function listPolicies(nl: Netlink): Promise<Policy[]> {
  const messages = await nl.dump(XFRM_MSG_GETPOLICY, zeros(0), "list the XFRM policies");
  return messages.map(parsePolicy).filter((policy) => policy !== undefined);
}

/** All security associations of the namespace. @throws NetlinkError */
export async function listStates(nl: Netlink): Promise<XfrmState[]> {
  return (await nl.dump(XFRM_MSG_GETSA, zeros(0), "list the XFRM states")).map(parseState);
}

/** struct xfrm_userpolicy_info and attributes (linux/xfrm.h); undefined for one of a single socket. */
export function parsePolicy({ body }: Message): Policy | undefined {
  const direction = DIRECTION_NAMES.find((name) => DIRECTIONS[name] === readU8(body, 160));
  if (direction === undefined) return undefined; // 3 and 4: of a socket
  const attributes = parseAttributes(body.subarray(USERPOLICY_INFO));
  // A selector of any family is 0 with both addresses empty; `ip xfrm` takes it for IPv4 as well.
  const version = versionOf(readU16(body, 40)) ?? 4;
  return {
    direction,
    src: prefixOf(xfrmAddress(body, 16, version), readU8(body, 43)),
    dst: prefixOf(xfrmAddress(body, 0, version), readU8(body, 42)),
    action: readU8(body, 161) === ACTIONS.block ? "block" : "allow",
    priority: readU32(body, 152),
    templates: (attributes.get(XFRMA_TMPL)?.length ?? 0) / USER_TMPL,
    ...interfaceOf(attributes),
  };
}

/** struct xfrm_usersa_info and attributes (linux/xfrm.h). */
function parseState({ body }: Message): XfrmState {
  const version = versionOf(readU16(body, 212)) ?? 4;
  return {
    spi: readBigEndianU32(body, 72),
    src: xfrmAddress(body, 80, version),
    dst: xfrmAddress(body, 56, version),
    protocol: readU8(body, 76),
    reqid: readU32(body, 208),
    ...interfaceOf(parseAttributes(body.subarray(USERSA_INFO))),
  };
}

function interfaceOf(attributes: Attributes): { readonly ifId?: number } {
  const ifId = u32Of(attributes, XFRMA_IF_ID);
  return ifId === undefined ? {} : { ifId };
}

/** struct xfrm_selector, 56 bytes: any protocol and port. */
function selector({ src, dst }: XfrmSelector): Uint8Array {
  return concat(
    padded(networkAddress(dst)),
    padded(networkAddress(src)),
    zeros(8), // ports and their masks
    u16(afOf(dst)),
    u8(prefixLength(dst)),
    u8(prefixLength(src)),
    u8(0), // protocol
    zeros(3),
    u32(0), // link
    u32(0), // user
  );
}

/** xfrm_address_t: 16 bytes, of which IPv4 uses the first 4. */
function padded(address: Address): Uint8Array {
  const bytes = addressBytes(address);
  return concat(bytes, zeros(16 - bytes.length));
}

function xfrmAddress(body: Uint8Array, offset: number, version: Family): Address {
  return addressFromBytes(body.subarray(offset, offset + (version === 4 ? 4 : 16)));
}

function text({ direction, src, dst, ifId }: XfrmSelector): string {
  const of = ifId === undefined ? "" : ` of XFRM interface ${ifId}`;
  return `XFRM policy dir ${direction} from ${src} to ${dst}${of}`;
}

const DIRECTIONS = { in: 0, out: 1, fwd: 2 } as const;
const DIRECTION_NAMES = Object.keys(DIRECTIONS) as Direction[];
const ACTIONS = { allow: 0, block: 1 } as const;
/** XFRM_INF. */
const NO_LIMIT = 0xffff_ffff_ffff_ffffn;
const USERPOLICY_INFO = 168;
const USERSA_INFO = 224;
const USER_TMPL = 64;
const XFRM_MSG_GETSA = 0x12;
const XFRM_MSG_NEWPOLICY = 0x13;
const XFRM_MSG_DELPOLICY = 0x14;
const XFRM_MSG_GETPOLICY = 0x15;
const XFRMA_TMPL = 5;
const XFRMA_IF_ID = 31;
