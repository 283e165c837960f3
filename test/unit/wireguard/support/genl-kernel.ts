import { isIPv6 } from "node:net";

// A kernel with one WireGuard device, as far as its messages go: written after drivers/net/wireguard/netlink.c, and
// sharing no code with src. It is as strict as the real one, and counts what comes in a message.

/** A peer, with bytes in hex. */
export interface ModelPeer {
  presharedKey: string;
  /** struct sockaddr; empty for none. */
  endpoint: string;
  keepalive: number;
  /** `family/address/length`. */
  readonly allowedIPs: Set<string>;
  readonly handshake: bigint;
  readonly received: bigint;
  readonly sent: bigint;
}

/** What a message had. */
export interface Seen {
  readonly peers: number;
  readonly allowedIPs: number;
  /** Types of the device's own attributes. */
  readonly device: readonly number[];
  readonly bytes: number;
}

const NO_KEY = "00".repeat(32);

export class ModelKernel {
  privateKey = NO_KEY;
  listenPort = 0;
  fwmark = 0;
  readonly peers = new Map<string, ModelPeer>();
  readonly seen: Seen[] = [];
  readonly #index: number;

  constructor(index: number) {
    this.#index = index;
  }

  /** WG_CMD_SET_DEVICE, with the attributes of the message. */
  set(message: Uint8Array): void {
    const attributes = table(message, DEVICE);
    if (attributes.get(1)?.readUInt32LE() !== this.#index) throw new TypeError("ENODEV");
    const listenPort = attributes.get(6);
    const fwmark = attributes.get(7);
    const privateKey = attributes.get(3);
    if (fwmark !== undefined) this.fwmark = exactly(4, fwmark).readUInt32LE();
    if (listenPort !== undefined) this.listenPort = exactly(2, listenPort).readUInt16LE() || 49_152;
    if (privateKey !== undefined) this.privateKey = exactly(32, privateKey).toString("hex");
    const peers = list(attributes.get(8));
    const allowedIPs = peers.map((peer) => this.#setPeer(table(peer, PEER)));
    this.seen.push({
      peers: peers.length,
      allowedIPs: allowedIPs.reduce((sum, count) => sum + count, 0),
      device: [...attributes.keys()].filter((type) => type !== 1 && type !== 8),
      bytes: message.length,
    });
  }

  /** The messages that answer WG_CMD_GET_DEVICE, of at most `most` allowed IPs (and peers) each. */
  get(most: number): Buffer[] {
    const chunks: Buffer[][] = [[]];
    let room = most;
    for (const [key, peer] of this.peers) {
      const rest = [...peer.allowedIPs];
      for (let isFirst = true; isFirst || rest.length > 0; isFirst = false) {
        if (room === 0) {
          chunks.push([]);
          room = most;
        }
        const taken = rest.splice(0, room);
        room -= Math.max(taken.length, 1);
        chunks.at(-1)?.push(encodePeer(key, isFirst ? peer : undefined, taken));
      }
    }
    return chunks.map((peers, position) =>
      Buffer.concat([
        ...(position === 0
          ? [
              attr(6, uint(2, this.listenPort)),
              attr(7, uint(4, this.fwmark)),
              attr(1, uint(4, this.#index)),
              attr(2, Buffer.from("podvpn0\0")),
              ...(this.privateKey === NO_KEY ? [] : [attr(3, hex(this.privateKey)), attr(4, Buffer.alloc(32, 7))]),
              attr(250, Buffer.from("of a later kernel")),
            ]
          : []),
        ...(peers.length === 0 ? [] : [attr(8, Buffer.concat(peers))]),
      ]),
    );
  }

  /** @returns How many allowed IPs it has. */
  #setPeer(attributes: Map<number, Buffer>): number {
    const key = exactly(32, attributes.get(1)).toString("hex");
    const flags = attributes.get(3)?.readUInt32LE() ?? 0;
    if ((flags & ~(REMOVE_ME | UPDATE_ONLY)) !== 0) throw new TypeError(`flags ${flags}: they would replace something`);
    const allowedIPs = list(attributes.get(9));
    let peer = this.peers.get(key);
    if ((flags & REMOVE_ME) !== 0) this.peers.delete(key);
    if (peer === undefined && (flags & (REMOVE_ME | UPDATE_ONLY)) === 0) {
      peer = { ...NEW_PEER, allowedIPs: new Set() };
      this.peers.set(key, peer);
    }
    if (peer === undefined || (flags & REMOVE_ME) !== 0) return allowedIPs.length;
    const presharedKey = attributes.get(2);
    const endpoint = attributes.get(4);
    const keepalive = attributes.get(5);
    if (presharedKey !== undefined) peer.presharedKey = exactly(32, presharedKey).toString("hex");
    if (endpoint !== undefined) {
      peer.endpoint = exactly(endpoint.readUInt16LE() === 2 ? 16 : 28, endpoint).toString("hex");
    }
    if (keepalive !== undefined) peer.keepalive = exactly(2, keepalive).readUInt16LE();
    for (const entry of allowedIPs) {
      const allowedIP = table(entry, ALLOWED_IP);
      const family = exactly(2, allowedIP.get(1)).readUInt16LE();
      const address = exactly(family === 2 ? 4 : 16, allowedIP.get(2)).toString("hex");
      const text = `${family}/${address}/${exactly(1, allowedIP.get(3)).readUInt8()}`;
      for (const other of this.peers.values()) other.allowedIPs.delete(text);
      peer.allowedIPs.add(text);
    }
    return allowedIPs.length;
  }
}

const REMOVE_ME = 1;
const UPDATE_ONLY = 4;
const NEW_PEER = { presharedKey: NO_KEY, endpoint: "", keepalive: 0, handshake: 0n, received: 0n, sent: 0n };

/** One element of the list of peers; without `peer` the continuation of one. */
function encodePeer(key: string, peer: ModelPeer | undefined, allowedIPs: readonly string[]): Buffer {
  const entries = allowedIPs.map((text) => {
    const [family = "", address = "", length = ""] = text.split("/");
    return attr(
      0,
      Buffer.concat([
        attr(3, uint(1, Number(length))),
        attr(1, uint(2, Number(family))),
        attr(2, hex(address)),
        attr(200, uint(4, 1)),
      ]),
    );
  });
  const fields =
    peer === undefined
      ? []
      : [
          attr(2, hex(peer.presharedKey)),
          attr(6, Buffer.concat([uint(8, peer.handshake / 1_000_000_000n), uint(8, peer.handshake % 1_000_000_000n)])),
          attr(5, uint(2, peer.keepalive)),
          attr(8, uint(8, peer.sent)),
          attr(7, uint(8, peer.received)),
          attr(10, uint(4, 1)),
          ...(peer.endpoint === "" ? [] : [attr(4, hex(peer.endpoint))]),
        ];
  return attr(0, Buffer.concat([attr(1, hex(key)), ...fields, attr(9, Buffer.concat(entries))]));
}

/** struct sockaddr_in or sockaddr_in6, in hex, written by other means than the code under test. */
export function sockaddrHex(address: string, port: number): string {
  const portHex = port.toString(16).padStart(4, "0");
  if (!isIPv6(address)) {
    const octets = address.split(".").map((octet) => Number(octet).toString(16).padStart(2, "0"));
    return `0200${portHex}${octets.join("")}${"00".repeat(8)}`;
  }
  const [head = "", tail = ""] = address.split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":").map((group) => group.padStart(4, "0")));
  const missing = 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array.from({ length: missing }, () => "0000"), ...groups(tail)];
  return `0a00${portHex}${"00".repeat(4)}${all.join("")}${"00".repeat(4)}`;
}

/** The highest attribute that this kernel knows there, and the one that is a list. */
const DEVICE = { highest: 8, list: 8 };
const PEER = { highest: 10, list: 9 };
const ALLOWED_IP = { highest: 4, list: undefined };

/** The attributes by type. @throws TypeError for one that the kernel's strict parser refuses. */
function table(message: Uint8Array, policy: { highest: number; list: number | undefined }): Map<number, Buffer> {
  return new Map(
    walk(Buffer.from(message)).map(({ type, payload, isNest }) => {
      if (type === 0 || type > policy.highest) throw new TypeError(`EINVAL: attribute ${type}`);
      if (isNest !== (type === policy.list)) throw new TypeError(`EINVAL: NLA_F_NESTED of attribute ${type}`);
      return [type, payload];
    }),
  );
}

/** The elements of a list; each has to be a nest. */
function list(bytes: Buffer | undefined): Buffer[] {
  return walk(bytes ?? Buffer.alloc(0)).map(({ payload, isNest }) => {
    if (!isNest) throw new TypeError("EINVAL: an element without NLA_F_NESTED");
    return payload;
  });
}

function walk(bytes: Buffer): { type: number; isNest: boolean; payload: Buffer }[] {
  const found = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    const type = bytes.readUInt16LE(at + 2);
    if (length < 4 || at + length > bytes.length) throw new TypeError("EINVAL: attribute beyond the message");
    found.push({ type: type & 0x3fff, isNest: type >= 0x8000, payload: bytes.subarray(at + 4, at + length) });
    at += Math.ceil(length / 4) * 4;
  }
  return found;
}

function exactly(length: number, bytes: Buffer | undefined): Buffer {
  if (bytes?.length !== length) throw new TypeError(`EINVAL: ${bytes?.length} bytes instead of ${length}`);
  return bytes;
}

function attr(type: number, payload: Buffer): Buffer {
  const padding = Buffer.alloc((4 - (payload.length % 4)) % 4);
  return Buffer.concat([uint(2, payload.length + 4), uint(2, type), payload, padding]);
}

function uint(size: 1 | 2 | 4 | 8, value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes.subarray(0, size);
}

function hex(text: string): Buffer {
  return Buffer.from(text, "hex");
}
