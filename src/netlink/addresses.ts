import { type Address, addressBytes, addressFromBytes } from "../net/address.ts";
import { attribute, parseAttributes, u32Of } from "./attributes.ts";
import { concat, readU8, readU32, u8, u32 } from "./bytes.ts";
import { changed } from "./error.ts";
import { afOf } from "./family.ts";
import { type Message, NLM_F_CREATE, NLM_F_EXCL } from "./message.ts";
import type { Netlink } from "./netlink.ts";
import { type Scope, scopeName, scopeNumber } from "./scope.ts";

/** iproute2's words for IFA_F_…. */
export type AddressFlag =
  /** IPv6: usable at once, without duplicate address detection. */
  | "nodad"
  /** The kernel makes no route for the on-link prefix. */
  | "noprefixroute"
  /** IPv6: duplicate address detection runs, or failed; the address cannot be used yet. */
  | "tentative"
  /** IPv6: another host on the link has the address. */
  | "dadfailed"
  /** Not to be expired. */
  | "permanent"
  /** IPv4: not the first address of its prefix; goes when that one goes (save with promote_secondaries). IPv6: temporary. */
  | "secondary"
  | "deprecated";

/** An address on a link. */
export interface LinkAddress {
  readonly index: number;
  readonly address: Address;
  /** Of the on-link prefix, in bits. */
  readonly prefixLength: number;
  /** IPv6: told by the address itself; what is given is ignored by the kernel. */
  readonly scope: Scope;
  /** Given: only "nodad" and "noprefixroute" have an effect. Read: all that are set. */
  readonly flags: readonly AddressFlag[];
}

/** All addresses of the namespace, both families; with `index`, those of one link. @throws NetlinkError */
export async function listAddresses(nl: Netlink, index?: number): Promise<LinkAddress[]> {
  // The kernel filters by index only with NETLINK_GET_STRICT_CHK, which the addon cannot set.
  const all = (await nl.dump(RTM_GETADDR, addressHeader({}), "list the addresses")).map(parseAddressMessage);
  return index === undefined ? all : all.filter((entry) => entry.index === index);
}

/** @throws NetlinkError EEXIST when the link has it, ENODEV when there is no such link. */
export async function addAddress(nl: Netlink, entry: LinkAddress): Promise<void> {
  const flags = entry.flags.reduce((bits, flag) => bits | FLAGS[flag], 0);
  const body = concat(addressMessage(entry), attribute(IFA_FLAGS, u32(flags)));
  await nl.change(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body, `add the address ${text(entry)}`);
}

/**
 * True when the address was added, false when the link had it. IPv4 takes one address with two prefix lengths for two,
 * IPv6 for one.
 * @throws NetlinkError
 */
export function ensureAddress(nl: Netlink, entry: LinkAddress): Promise<boolean> {
  return changed(addAddress(nl, entry), "EEXIST");
}

/** @throws NetlinkError EADDRNOTAVAIL when the link has no such address, ENODEV when there is no such link. */
export async function removeAddress(nl: Netlink, entry: AddressKey): Promise<void> {
  await nl.change(RTM_DELADDR, 0, addressMessage(entry), `remove the address ${text(entry)}`);
}

/** True when the address was removed, false when it, or its link, was gone. @throws NetlinkError */
export function ensureNoAddress(nl: Netlink, entry: AddressKey): Promise<boolean> {
  return changed(removeAddress(nl, entry), "EADDRNOTAVAIL", "ENODEV");
}

/** What tells one address from another. */
export type AddressKey = Pick<LinkAddress, "index" | "address" | "prefixLength">;

/** The address of an RTM_NEWADDR or RTM_DELADDR message: struct ifaddrmsg and attributes (linux/if_addr.h). */
export function parseAddressMessage({ body }: Message): LinkAddress {
  const attributes = parseAttributes(body.subarray(IFADDRMSG));
  // On a point-to-point link IFA_ADDRESS is the peer's and IFA_LOCAL ours; IPv6 without a peer has no IFA_LOCAL.
  const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
  if (bytes === undefined) throw new RangeError("an address message without an address");
  const bits = u32Of(attributes, IFA_FLAGS) ?? readU8(body, 2);
  return {
    index: readU32(body, 4),
    address: addressFromBytes(bytes),
    prefixLength: readU8(body, 1),
    scope: scopeName(readU8(body, 3)),
    flags: FLAG_NAMES.filter((flag) => (bits & FLAGS[flag]) !== 0),
  };
}

function addressMessage(entry: AddressKey & { readonly scope?: Scope }): Uint8Array {
  const bytes = addressBytes(entry.address);
  // Both, as iproute2: IPv4 keys its addresses by IFA_LOCAL, IPv6 by IFA_ADDRESS.
  return concat(addressHeader(entry), attribute(IFA_LOCAL, bytes), attribute(IFA_ADDRESS, bytes));
}

function addressHeader(entry: Partial<AddressKey> & { readonly scope?: Scope }): Uint8Array {
  return concat(
    u8(entry.address === undefined ? 0 : afOf(entry.address)),
    u8(entry.prefixLength ?? 0),
    u8(0), // flags are in IFA_FLAGS, which has 32 bits
    u8(entry.scope === undefined ? 0 : scopeNumber(entry.scope)),
    u32(entry.index ?? 0),
  );
}

function text(entry: AddressKey): string {
  return `${entry.address}/${entry.prefixLength} on link ${entry.index}`;
}

const IFADDRMSG = 8;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
const FLAGS = {
  secondary: 0x01,
  nodad: 0x02,
  dadfailed: 0x08,
  deprecated: 0x20,
  tentative: 0x40,
  permanent: 0x80,
  noprefixroute: 0x200,
} as const satisfies Record<AddressFlag, number>;
const FLAG_NAMES = Object.keys(FLAGS) as AddressFlag[];
