import { ViciError } from "./errors.ts";
import type { Scalar } from "./message.ts";
import { MAX_SEGMENT } from "./segments.ts";

/** A name's length is a uint8, a value's a big-endian uint16. */
const MAX_NAME = 0xff;
const MAX_VALUE = 0xffff;

/** Writes the parts of a message. Errors name the place, by `path`, and never the value. */
export class Writer {
  #buffer = Buffer.alloc(512);
  #length = 0;

  type(type: number): void {
    this.#reserve(1);
    this.#length = this.#buffer.writeUInt8(type, this.#length);
  }

  name(name: string, path: () => string): void {
    const length = Buffer.byteLength(name);
    if (length > MAX_NAME) throw new ViciError("INVALID", `${path()}: a name has ${MAX_NAME} bytes at most`);
    this.#reserve(1 + length);
    this.#length = this.#buffer.writeUInt8(length, this.#length);
    this.#length += this.#buffer.write(name, this.#length);
  }

  value(value: Scalar, path: () => string): void {
    const length = Buffer.byteLength(value);
    if (length > MAX_VALUE) {
      throw new ViciError("INVALID", `${path()}: ${length} bytes, a value has ${MAX_VALUE} at most`);
    }
    this.#reserve(2 + length);
    this.#length = this.#buffer.writeUInt16BE(length, this.#length);
    if (typeof value === "string") this.#buffer.write(value, this.#length);
    else this.#buffer.set(value, this.#length);
    this.#length += length;
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  #reserve(length: number): void {
    const needed = this.#length + length;
    if (needed > MAX_SEGMENT) throw new ViciError("INVALID", `a message has ${MAX_SEGMENT} bytes at most`);
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.alloc(Math.min(MAX_SEGMENT, Math.max(needed, this.#buffer.length * 2)));
    larger.set(this.bytes());
    this.#buffer = larger;
  }
}

/** Reads them. @throws ViciError `PROTOCOL` at the end of the bytes. */
export class Reader {
  readonly #buffer: Buffer;
  #offset = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  get done(): boolean {
    return this.#offset === this.#buffer.length;
  }

  uint8(): number {
    const byte = this.#buffer[this.#offset];
    if (byte === undefined) throw malformed("it is cut off");
    this.#offset += 1;
    return byte;
  }

  name(): string {
    return this.#take(this.uint8()).toString("utf8");
  }

  value(): Uint8Array {
    return this.#take(this.uint8() * 0x100 + this.uint8());
  }

  #take(length: number): Buffer {
    const end = this.#offset + length;
    if (end > this.#buffer.length) throw malformed("it is cut off");
    const taken = this.#buffer.subarray(this.#offset, end);
    this.#offset = end;
    return taken;
  }
}

/** A name as a packet carries it: its length, then its bytes. @throws ViciError `INVALID` over 255 bytes. */
export function encodeName(name: string): Buffer {
  const writer = new Writer();
  writer.name(name, () => "packet");
  return writer.bytes();
}

export function malformed(what: string): ViciError {
  return new ViciError("PROTOCOL", `malformed message: ${what}`);
}
