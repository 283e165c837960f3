import { type Address, addressBytes, addressFromBytes } from "../net/address.ts";
import { attribute, parseAttributes } from "./attributes.ts";
import { concat, readU16, readU32, u8, u16, u32, zeros } from "./bytes.ts";
import { changed } from "./error.ts";
import { afOf } from "./family.ts";
import type { Message } from "./message.ts";
import type { Netlink } from "./netlink.ts";

/** A neighbour (ARP, neighbour discovery) of a link. */
export interface Neighbour {
  /** Of the link. */
  readonly index: number;
  readonly address: Address;
  /** Asked for, and not answered yet: packets may wait for it. */
  readonly incomplete: boolean;
}

/** The neighbours of all links of the namespace, both families. @throws NetlinkError */
export async function listNeighbours(nl: Netlink): Promise<Neighbour[]> {
  const messages = await nl.dump(RTM_GETNEIGH, zeros(NDMSG), "list the neighbours");
  return messages.map(parseNeighbour).filter((neighbour) => neighbour !== undefined);
}

/**
 * Forgets a neighbour. What waits for an incomplete one is given up at once, and its senders are told by ICMP.
 * @returns False when it, or its link, was gone. @throws NetlinkError
 */
export function ensureNoNeighbour(nl: Netlink, { index, address }: Neighbour): Promise<boolean> {
  const header = concat(u8(afOf(address)), zeros(3), u32(index), u16(0), u8(0), u8(0));
  const body = concat(header, attribute(NDA_DST, addressBytes(address)));
  return changed(nl.change(RTM_DELNEIGH, 0, body, `forget the neighbour ${address}`), "ENOENT", "ENODEV", "ENXIO");
}

/** struct ndmsg and attributes (linux/neighbour.h); undefined for what is not IP: a bridge's MAC addresses. */
function parseNeighbour({ body }: Message): Neighbour | undefined {
  const bytes = parseAttributes(body.subarray(NDMSG)).get(NDA_DST);
  if (bytes === undefined) return undefined;
  return {
    index: readU32(body, 4),
    address: addressFromBytes(bytes),
    incomplete: (readU16(body, 8) & NUD_INCOMPLETE) !== 0,
  };
}

const NDMSG = 12;
const RTM_DELNEIGH = 29;
const RTM_GETNEIGH = 30;
const NDA_DST = 1;
const NUD_INCOMPLETE = 0x01;
