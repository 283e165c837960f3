import { decodeMessage, encodeMessage } from "./codec.ts";
import { ViciError } from "./errors.ts";
import { asBuffer, type Message, type Section } from "./message.ts";
import { encodeName } from "./wire.ts";

/** Types of packets (strongSwan: src/libcharon/plugins/vici/README.md, "Packet layer"), by the number on the wire. */
const TYPES = [
  "CMD_REQUEST",
  "CMD_RESPONSE",
  "CMD_UNKNOWN",
  "EVENT_REGISTER",
  "EVENT_UNREGISTER",
  "EVENT_CONFIRM",
  "EVENT_UNKNOWN",
  "EVENT",
] as const;

/** A packet; `M` is {@link Message} in one that was decoded. */
export type Packet<M = Message> =
  | { readonly type: "CMD_REQUEST" | "EVENT"; readonly name: string; readonly message: M }
  | { readonly type: "CMD_RESPONSE"; readonly message: M }
  | { readonly type: "EVENT_REGISTER" | "EVENT_UNREGISTER"; readonly name: string }
  | { readonly type: "CMD_UNKNOWN" | "EVENT_CONFIRM" | "EVENT_UNKNOWN" };

/** A packet's wire form, without the segment's length. @throws ViciError `INVALID`, see {@link encodeMessage}. */
export function encodePacket(packet: Packet<Section | Message>): Buffer {
  const parts: Uint8Array[] = [Uint8Array.of(TYPES.indexOf(packet.type))];
  if ("name" in packet) parts.push(encodeName(packet.name));
  if ("message" in packet) parts.push(encodeMessage(packet.message));
  return Buffer.concat(parts);
}

/** A packet from a segment's body. @throws ViciError `PROTOCOL`, see {@link decodeMessage}. */
export function decodePacket(bytes: Uint8Array): Packet {
  const buffer = asBuffer(bytes);
  const type = TYPES[buffer[0] ?? TYPES.length];
  switch (type) {
    case undefined:
      throw new ViciError("PROTOCOL", buffer.length === 0 ? "an empty segment" : `packet type ${buffer[0]}`);
    case "CMD_REQUEST":
    case "EVENT": {
      const { name, rest } = splitName(buffer);
      return { type, name, message: decodeMessage(rest) };
    }
    case "CMD_RESPONSE":
      return { type, message: decodeMessage(buffer.subarray(1)) };
    case "EVENT_REGISTER":
    case "EVENT_UNREGISTER": {
      const { name, rest } = splitName(buffer);
      ends(type, rest);
      return { type, name };
    }
    default:
      ends(type, buffer.subarray(1));
      return { type };
  }
}

/** The name after the packet's type, and what follows it. */
function splitName(buffer: Buffer): { name: string; rest: Buffer } {
  const end = 2 + (buffer[1] ?? buffer.length);
  if (end > buffer.length) throw new ViciError("PROTOCOL", "a packet's name is cut off");
  return { name: buffer.toString("utf8", 2, end), rest: buffer.subarray(end) };
}

function ends(type: string, rest: Buffer): void {
  if (rest.length > 0) throw new ViciError("PROTOCOL", `${rest.length} bytes after ${type}`);
}
