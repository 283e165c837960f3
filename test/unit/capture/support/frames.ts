import { type Address, addressBytes, parseAddress } from "../../../../src/net/address.ts";

// Frames as they are on a wire, for tests of what reads them. Checksums are zero: nothing here looks at them.

/** A UDP or TCP header with what follows it. */
export interface Transport {
  readonly protocol: number;
  readonly bytes: Buffer;
}

export function bytesOf(address: string): Buffer {
  const parsed: Address | undefined = parseAddress(address);
  if (parsed === undefined) throw new TypeError(address);
  return Buffer.from(addressBytes(parsed));
}

/** @param length In its header: of the datagram as it was sent, however much of it is in the frame. */
export function udp(source: number, destination: number, body: Buffer, length = 8 + body.length): Transport {
  return { protocol: 17, bytes: Buffer.concat([u16(source), u16(destination), u16(length), u16(0), body]) };
}

export function tcp(source: number, destination: number): Transport {
  const rest = Buffer.alloc(16);
  rest[8] = 0x50;
  return { protocol: 6, bytes: Buffer.concat([u16(source), u16(destination), rest]) };
}

export function other(protocol: number, bytes: Buffer): Transport {
  return { protocol, bytes };
}

export function ipv4(source: string, destination: string, { protocol, bytes }: Transport, fragment = 0): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + bytes.length, 2);
  header.writeUInt16BE(fragment, 6);
  header[8] = 64;
  header[9] = protocol;
  header.set(bytesOf(source), 12);
  header.set(bytesOf(destination), 16);
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += header.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  header.writeUInt16BE(~sum & 0xffff, 10);
  return Buffer.concat([header, bytes]);
}

/** @param extensions Headers between IPv6's own and the transport's, each with its number. */
export function ipv6(
  source: string,
  destination: string,
  { protocol, bytes }: Transport,
  extensions: readonly Transport[] = [],
): Buffer {
  const chain = [...extensions, { protocol, bytes }];
  // Each header begins with the number of the next.
  const body = Buffer.concat(
    extensions.map((extension, index) =>
      Buffer.concat([Buffer.from([chain[index + 1]?.protocol ?? 59]), extension.bytes]),
    ),
  );
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(body.length + bytes.length, 4);
  header[6] = chain[0]?.protocol ?? 59;
  header[7] = 64;
  header.set(bytesOf(source), 8);
  header.set(bytesOf(destination), 24);
  return Buffer.concat([header, body, bytes]);
}

/** @param tags VLAN IDs, the outer first. */
export function ethernet(packet: Buffer, tags: readonly number[] = []): Buffer {
  const type = (packet[0] ?? 0) >> 4 === 6 ? 0x86dd : 0x0800;
  return frame(type, packet, tags);
}

/** Who has `target`, asks `sender`. */
export function arp(sender: string, target: string, tags: readonly number[] = []): Buffer {
  const header = Buffer.from([0, 1, 8, 0, 6, 4, 0, 1]);
  const packet = Buffer.concat([header, Buffer.alloc(6, 2), bytesOf(sender), Buffer.alloc(6), bytesOf(target)]);
  return frame(0x0806, packet, tags);
}

/** ICMPv6: who has `target`? */
export function solicitation(target: string): Transport {
  return other(58, Buffer.concat([Buffer.from([135, 0, 0, 0, 0, 0, 0, 0]), bytesOf(target)]));
}

export function wireguard(type: number, length: number): Buffer {
  const message = Buffer.alloc(length);
  message[0] = type;
  return message;
}

/** @param spi 0 is the marker of IKE on port 4500. */
export function esp(spi: number, length: number): Buffer {
  const packet = Buffer.alloc(length);
  packet.writeUInt32BE(spi, 0);
  return packet;
}

function frame(type: number, packet: Buffer, tags: readonly number[]): Buffer {
  const macs = Buffer.concat([Buffer.alloc(6, 0xff), Buffer.from([2, 0, 0, 0, 0, 9])]);
  const vlans = tags.map((id) => Buffer.concat([u16(0x8100), u16(id)]));
  return Buffer.concat([macs, ...vlans, u16(type), packet]);
}

function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}
