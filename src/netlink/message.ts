import { align } from "./attributes.ts";
import { concat, readU16, readU32, u16, u32, zeros } from "./bytes.ts";

/** One netlink message without its length (struct nlmsghdr, linux/netlink.h). */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** The family's fixed header and attributes. */
  readonly body: Uint8Array;
}

/** Message types that every netlink family has. */
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

export const NLM_F_REQUEST = 0x1;
/** Ends the answer to a request that is no dump with an NLMSG_ERROR of value 0. */
export const NLM_F_ACK = 0x4;
/** On a dump's messages: what is dumped changed meanwhile, entries may be missing or double. */
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
/** NLM_F_ROOT and NLM_F_MATCH. */
export const NLM_F_DUMP = 0x300;

/** The message with its header; port 0 lets the kernel fill in the sender's. */
export function encodeMessage(message: Message): Uint8Array {
  const length = HEADER + message.body.length;
  return concat(
    u32(length),
    u16(message.type),
    u16(message.flags),
    u32(message.sequence),
    u32(0),
    message.body,
    zeros(align(length) - length),
  );
}

/** The messages of one datagram, in order. @throws RangeError when one claims more bytes than there are. */
export function decodeMessages(datagram: Uint8Array): Message[] {
  const messages: Message[] = [];
  for (let offset = 0; offset + HEADER <= datagram.length; ) {
    const length = readU32(datagram, offset);
    if (length < HEADER || offset + length > datagram.length) {
      throw new RangeError(`netlink message of ${length} bytes where ${datagram.length - offset} are left`);
    }
    messages.push({
      type: readU16(datagram, offset + 4),
      flags: readU16(datagram, offset + 6),
      sequence: readU32(datagram, offset + 8),
      body: datagram.subarray(offset + HEADER, offset + length),
    });
    offset += align(length);
  }
  return messages;
}

/** Ports of the sockets whose requests made the changes that a datagram tells of (nlmsg_pid); 0 is the kernel itself. Pure. */
export function portsOf(datagram: Uint8Array): Set<number> {
  const ports = new Set<number>();
  for (let offset = 0; offset + HEADER <= datagram.length; ) {
    ports.add(readU32(datagram, offset + 12));
    offset += align(Math.max(HEADER, readU32(datagram, offset)));
  }
  return ports;
}

const HEADER = 16;
