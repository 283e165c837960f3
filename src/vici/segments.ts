import { ViciError } from "./errors.ts";
import { asBuffer } from "./message.ts";

/** Bytes in a segment's body, both ways. charon closes the connection on a longer one. */
export const MAX_SEGMENT = 512 * 1024;

/** Bytes of a segment's length, a big-endian uint32. */
const HEADER = 4;

/** Puts the length before a packet. @throws ViciError `INVALID` over 524,288 bytes. */
export function encodeSegment(packet: Uint8Array): Buffer {
  if (packet.length > MAX_SEGMENT) {
    throw new ViciError("INVALID", `the packet has ${packet.length} bytes, ${MAX_SEGMENT} at most`);
  }
  const segment = Buffer.alloc(HEADER + packet.length);
  segment.writeUInt32BE(packet.length);
  segment.set(packet, HEADER);
  return segment;
}

/**
 * Cuts a byte stream, which comes in any pieces, into segments.
 * A segment inside of one piece is a view of it; one that spans pieces is copied once.
 */
export class SegmentDecoder {
  readonly #header = Buffer.alloc(HEADER);
  #headerLength = 0;
  #body: Buffer | undefined;
  #bodyLength = 0;

  /**
   * Bodies of the segments that `piece` completes.
   * @throws ViciError `PROTOCOL` on a length over 524,288, before anything is buffered for it. The stream is of no use then.
   */
  push(piece: Uint8Array): Buffer[] {
    const buffer = asBuffer(piece);
    const complete: Buffer[] = [];
    let offset = 0;
    while (offset < buffer.length) {
      if (this.#body !== undefined) {
        offset += this.#fill(this.#body, buffer.subarray(offset), complete);
        continue;
      }
      const copied = buffer.copy(this.#header, this.#headerLength, offset);
      offset += copied;
      this.#headerLength += copied;
      if (this.#headerLength < HEADER) break;
      const length = this.#header.readUInt32BE();
      if (length > MAX_SEGMENT) throw new ViciError("PROTOCOL", `a segment of ${length} bytes, over ${MAX_SEGMENT}`);
      this.#headerLength = 0;
      if (length <= buffer.length - offset) {
        complete.push(buffer.subarray(offset, offset + length));
        offset += length;
      } else {
        this.#body = Buffer.alloc(length);
        this.#bodyLength = 0;
      }
    }
    return complete;
  }

  /** Copies what `piece` has of the body begun. Returns how much that was. */
  #fill(body: Buffer, piece: Buffer, complete: Buffer[]): number {
    const copied = piece.copy(body, this.#bodyLength);
    this.#bodyLength += copied;
    if (this.#bodyLength === body.length) {
      complete.push(body);
      this.#body = undefined;
    }
    return copied;
  }
}
