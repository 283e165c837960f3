/**
 * Netlink speaks the host's byte order. Every Linux that podvpn runs on (x86-64, arm64) is little-endian; a big-endian
 * host would change this one line. Addresses, ports and SPIs inside the messages are in network order all the same.
 */
const HOST_IS_LITTLE_ENDIAN = true;

export function u8(value: number): Uint8Array {
  return Uint8Array.of(value);
}

export function u16(value: number): Uint8Array {
  return filled(2, (view) => view.setUint16(0, value, HOST_IS_LITTLE_ENDIAN));
}

export function u32(value: number): Uint8Array {
  return filled(4, (view) => view.setUint32(0, value, HOST_IS_LITTLE_ENDIAN));
}

export function u64(value: bigint): Uint8Array {
  return filled(8, (view) => view.setBigUint64(0, value, HOST_IS_LITTLE_ENDIAN));
}

/** In network byte order, as the ports of a socket's address are. */
export function bigEndianU16(value: number): Uint8Array {
  return filled(2, (view) => view.setUint16(0, value, false));
}

/** In network byte order, as all numbers of nf_tables are. */
export function bigEndianU32(value: number): Uint8Array {
  return filled(4, (view) => view.setUint32(0, value, false));
}

/** The same, for what may be negative: priorities of chains. */
export function bigEndianI32(value: number): Uint8Array {
  return filled(4, (view) => view.setInt32(0, value, false));
}

/** `count` bytes of zero: padding, and fields that are left to the kernel. */
export function zeros(count: number): Uint8Array {
  return new Uint8Array(count);
}

/** A C string: UTF-8 with its terminating zero. */
export function cString(text: string): Uint8Array {
  return Buffer.from(`${text}\0`, "utf8");
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}

/** @throws RangeError past the end, as all readers here: a short message is never read as zeros. */
export function readU8(bytes: Uint8Array, offset: number): number {
  return viewAt(bytes, offset, 1).getUint8(0);
}

export function readU16(bytes: Uint8Array, offset: number): number {
  return viewAt(bytes, offset, 2).getUint16(0, HOST_IS_LITTLE_ENDIAN);
}

export function readU32(bytes: Uint8Array, offset: number): number {
  return viewAt(bytes, offset, 4).getUint32(0, HOST_IS_LITTLE_ENDIAN);
}

export function readI32(bytes: Uint8Array, offset: number): number {
  return viewAt(bytes, offset, 4).getInt32(0, HOST_IS_LITTLE_ENDIAN);
}

export function readU64(bytes: Uint8Array, offset: number): bigint {
  return viewAt(bytes, offset, 8).getBigUint64(0, HOST_IS_LITTLE_ENDIAN);
}

/** In network byte order, as the ports of a socket's address are. */
export function readBigEndianU16(bytes: Uint8Array, offset: number): number {
  return viewAt(bytes, offset, 2).getUint16(0, false);
}

/** In network byte order, as SPIs are. */
export function readBigEndianU32(bytes: Uint8Array, offset: number): number {
  return viewAt(bytes, offset, 4).getUint32(0, false);
}

/** Up to the first zero, or to the end. */
export function readCString(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString("utf8");
}

/** The bytes at `offset`, to be read at once: it is always the same view, as making one costs more than all the rest. */
function viewAt(bytes: Uint8Array, offset: number, length: number): DataView {
  if (offset + length > bytes.length) throw new RangeError(`${length} bytes at ${offset} of ${bytes.length}`);
  for (let index = 0; index < length; index += 1) SCRATCH[index] = bytes[offset + index] ?? 0;
  return VIEW;
}

function filled(length: number, fill: (view: DataView) => void): Uint8Array {
  fill(VIEW);
  return SCRATCH.slice(0, length);
}

const SCRATCH = new Uint8Array(8);
const VIEW = new DataView(SCRATCH.buffer);
