import { type Attributes, attribute, parseAttributes } from "./attributes.ts";
import { concat, cString, readU16, u8, zeros } from "./bytes.ts";
import { NetlinkError } from "./error.ts";
import type { Message } from "./message.ts";
import type { Netlink } from "./netlink.ts";

// Generic netlink (linux/genetlink.h): families that the kernel numbers as they are registered, each with commands.

/** A family of generic netlink, such as "wireguard", on a socket of `openGeneric`. */
export interface GenericFamily {
  readonly name: string;
  /** Of the family's interface, which its header file tells. */
  readonly version: number;
  /** The type of its messages, until the module that has it is loaded anew. */
  readonly id: number;
}

/** One command to a family: changes something, or asks for something. */
export interface Command {
  /** The family's number for it. */
  readonly command: number;
  readonly attributes: readonly Uint8Array[];
}

/**
 * The family of that name, as the kernel numbers it now; the kernel loads the module that has it if it can.
 * @throws NetlinkError ENOENT when this kernel has none.
 */
export async function findFamily(nl: Netlink, name: string, version: number): Promise<GenericFamily> {
  const operation = `find the generic netlink family ${name}`;
  const request = body(
    { command: CTRL_CMD_GETFAMILY, attributes: [attribute(CTRL_ATTR_FAMILY_NAME, cString(name))] },
    1,
  );
  const answer = await nl.get(GENL_ID_CTRL, request, operation);
  const id = answer && attributesOf(answer).get(CTRL_ATTR_FAMILY_ID);
  if (id === undefined) throw new NetlinkError("EBADMSG", operation, { message: "the answer has no number" });
  return { name, version, id: readU16(id, 0) };
}

/** Runs a command that changes something. @param operation In words, for the error. @throws NetlinkError */
export function commandFamily(nl: Netlink, family: GenericFamily, what: Command, operation: string): Promise<void> {
  return nl.change(family.id, 0, body(what, family.version), operation);
}

/** The answers to a command that lists something; a list that changed meanwhile is asked for again. @throws NetlinkError */
export async function dumpFamily(
  nl: Netlink,
  family: GenericFamily,
  what: Command,
  operation: string,
): Promise<Attributes[]> {
  return (await nl.dump(family.id, body(what, family.version), operation)).map(attributesOf);
}

function attributesOf(message: Message): Attributes {
  return parseAttributes(message.body.subarray(GENLMSGHDR));
}

/** struct genlmsghdr and attributes. */
function body({ command, attributes }: Command, version: number): Uint8Array {
  return concat(u8(command), u8(version), zeros(2), ...attributes);
}

const GENLMSGHDR = 4;
const GENL_ID_CTRL = 16;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
