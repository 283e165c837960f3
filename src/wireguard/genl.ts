import { addressBytes, addressFromBytes } from "../net/address.ts";
import type { Endpoint } from "../net/endpoint.ts";
import { networkAddress, type Prefix, prefixLength, prefixOf } from "../net/prefix.ts";
import {
  type Attributes,
  attribute,
  nest,
  optional,
  parseAttributes,
  parseList,
  u32Of,
} from "../netlink/attributes.ts";
import * as bytes from "../netlink/bytes.ts";
import { afOf, versionOf } from "../netlink/family.ts";
import type { Command } from "../netlink/generic.ts";
import { Secret } from "../secret.ts";
import type { DeviceChange, DeviceState, PeerChange, PeerState } from "./device.ts";
import { isZero, KEY_LENGTH, type PublicKey, publicKeyBytes, publicKeyFrom } from "./key.ts";
import { type Limits, splitChange } from "./split.ts";

// The kernel's configuration interface of WireGuard, linux/wireguard.h: the generic netlink family "wireguard".

/** Name and version of the family. */
export const WIREGUARD_FAMILY = ["wireguard", 1] as const;

/**
 * The most that one message has. With all of it a message has 15 KiB: its list of peers stays well below the 64 KiB of an
 * attribute, and the message below what a socket takes (net.core.wmem_max, 208 KiB).
 */
const LIMITS: Limits = { peers: 32, allowedIPs: 256 };

/** Asks for all of the device. @param index Of its link. */
export function getDevice(index: number): Command {
  return { command: WG_CMD_GET_DEVICE, attributes: [attribute(WGDEVICE_A_IFINDEX, bytes.u32(index))] };
}

/** The change as commands, to be run one after the other. @param index Of the device's link. */
export function setDevice(index: number, change: DeviceChange): Command[] {
  return splitChange(change, LIMITS).map(({ privateKey, listenPort, fwmark, peers }) => ({
    command: WG_CMD_SET_DEVICE,
    attributes: [
      attribute(WGDEVICE_A_IFINDEX, bytes.u32(index)),
      optional(WGDEVICE_A_LISTEN_PORT, listenPort, bytes.u16),
      optional(WGDEVICE_A_FWMARK, fwmark, bytes.u32),
      optional(WGDEVICE_A_PRIVATE_KEY, privateKey, (key) => key.reveal()),
      ...(peers.length === 0 ? [] : [nest(WGDEVICE_A_PEERS, ...peers.map(peerAttributes))]),
    ],
  }));
}

function peerAttributes(change: PeerChange): Uint8Array {
  const publicKey = attribute(WGPEER_A_PUBLIC_KEY, publicKeyBytes(change.publicKey));
  if ("remove" in change) return nest(ELEMENT, publicKey, attribute(WGPEER_A_FLAGS, bytes.u32(WGPEER_F_REMOVE_ME)));
  const { isNew, presharedKey, endpoint, persistentKeepalive, addAllowedIPs } = change;
  return nest(
    ELEMENT,
    publicKey,
    // Without a flag a peer that is not there is made.
    optional(WGPEER_A_FLAGS, isNew ? undefined : WGPEER_F_UPDATE_ONLY, bytes.u32),
    optional(WGPEER_A_PRESHARED_KEY, presharedKey, (key) => (key === "none" ? NO_KEY : key.reveal())),
    optional(WGPEER_A_ENDPOINT, endpoint, sockaddr),
    optional(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, persistentKeepalive, bytes.u16),
    ...(addAllowedIPs.length === 0 ? [] : [nest(WGPEER_A_ALLOWEDIPS, ...addAllowedIPs.map(allowedIPAttributes))]),
  );
}

function allowedIPAttributes(prefix: Prefix): Uint8Array {
  return nest(
    ELEMENT,
    attribute(WGALLOWEDIP_A_FAMILY, bytes.u16(afOf(prefix))),
    attribute(WGALLOWEDIP_A_IPADDR, addressBytes(networkAddress(prefix))),
    attribute(WGALLOWEDIP_A_CIDR_MASK, bytes.u8(prefixLength(prefix))),
  );
}

/** struct sockaddr_in or struct sockaddr_in6. */
function sockaddr({ address, port }: Endpoint): Uint8Array {
  const start = bytes.concat(bytes.u16(afOf(address)), bytes.bigEndianU16(port));
  const host = addressBytes(address);
  return host.length === 4
    ? bytes.concat(start, host, bytes.zeros(8))
    : bytes.concat(start, bytes.zeros(4), host, bytes.zeros(4));
}

/**
 * The state in the answers to {@link getDevice}: what is the device's own is in the first alone, and the last peer of one
 * may go on in the next, with more allowed IPs. What is not known here is passed over.
 * @param only The peers that are wanted; absent: all. @throws RangeError for what the kernel never sends; it tells no value.
 */
export function deviceState(answers: readonly Attributes[], only?: ReadonlySet<PublicKey>): DeviceState {
  const [first = new Map()] = answers;
  const privateKey = secretOf(first, WGDEVICE_A_PRIVATE_KEY);
  const peers = new Map<PublicKey, PeerState>();
  for (const answer of answers) {
    for (const element of parseList(answer.get(WGDEVICE_A_PEERS) ?? NOTHING)) {
      const attributes = parseAttributes(element);
      const publicKey = publicKeyFrom(attributes.get(WGPEER_A_PUBLIC_KEY) ?? NOTHING);
      if (only?.has(publicKey) === false) continue;
      const before = peers.get(publicKey) ?? peerState(publicKey, attributes);
      peers.set(publicKey, { ...before, allowedIPs: before.allowedIPs.concat(allowedIPsOf(attributes)) });
    }
  }
  return {
    ...(privateKey !== undefined && { privateKey }),
    listenPort: u16Of(first, WGDEVICE_A_LISTEN_PORT),
    fwmark: u32Of(first, WGDEVICE_A_FWMARK) ?? 0,
    peers: [...peers.values()],
  };
}

/** A peer without its allowed IPs. */
function peerState(publicKey: PublicKey, attributes: Attributes): PeerState {
  const presharedKey = secretOf(attributes, WGPEER_A_PRESHARED_KEY);
  const endpoint = endpointOf(attributes.get(WGPEER_A_ENDPOINT));
  const latestHandshake = millisecondsOf(attributes.get(WGPEER_A_LAST_HANDSHAKE_TIME));
  return {
    publicKey,
    ...(presharedKey !== undefined && { presharedKey }),
    ...(endpoint !== undefined && { endpoint }),
    persistentKeepalive: u16Of(attributes, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL),
    allowedIPs: [],
    ...(latestHandshake !== 0 && { latestHandshake }),
    receivedBytes: u64Of(attributes, WGPEER_A_RX_BYTES),
    sentBytes: u64Of(attributes, WGPEER_A_TX_BYTES),
  };
}

function allowedIPsOf(peer: Attributes): Prefix[] {
  return parseList(peer.get(WGPEER_A_ALLOWEDIPS) ?? NOTHING).flatMap((element) => {
    const attributes = parseAttributes(element);
    const length = attributes.get(WGALLOWEDIP_A_CIDR_MASK);
    const address = attributes.get(WGALLOWEDIP_A_IPADDR);
    if (length === undefined || address === undefined) return [];
    return [prefixOf(addressFromBytes(address), bytes.readU8(length, 0))];
  });
}

/** Undefined for none, and for an IPv6 one with a zone: where that is only this node knows, and no setting can say it. */
function endpointOf(name: Uint8Array | undefined): Endpoint | undefined {
  if (name === undefined) return undefined;
  const version = versionOf(bytes.readU16(name, 0));
  const port = bytes.readBigEndianU16(name, 2);
  if (version === 4) return { address: addressFromBytes(name.subarray(4, 8)), port };
  if (version !== 6 || bytes.readU32(name, 24) !== 0) return undefined;
  return { address: addressFromBytes(name.subarray(8, 24)), port };
}

/** Undefined for the key of zeros, which is the kernel's word for none. */
function secretOf(attributes: Attributes, type: number): Secret | undefined {
  const key = attributes.get(type);
  return key === undefined || isZero(key) ? undefined : new Secret(Uint8Array.from(key));
}

/** struct __kernel_timespec, in seconds and nanoseconds. */
function millisecondsOf(timespec: Uint8Array | undefined): number {
  if (timespec === undefined) return 0;
  return Number(bytes.readU64(timespec, 0)) * 1000 + Math.floor(Number(bytes.readU64(timespec, 8)) / 1e6);
}

function u16Of(attributes: Attributes, type: number): number {
  const payload = attributes.get(type);
  return payload === undefined ? 0 : bytes.readU16(payload, 0);
}

function u64Of(attributes: Attributes, type: number): number {
  const payload = attributes.get(type);
  return payload === undefined ? 0 : Number(bytes.readU64(payload, 0));
}

const NOTHING = new Uint8Array(0);
const NO_KEY = new Uint8Array(KEY_LENGTH);
/** Elements of the lists have no type: their order counts. */
const ELEMENT = 0;
const WG_CMD_GET_DEVICE = 0;
const WG_CMD_SET_DEVICE = 1;
const WGDEVICE_A_IFINDEX = 1;
const WGDEVICE_A_PRIVATE_KEY = 3;
const WGDEVICE_A_LISTEN_PORT = 6;
const WGDEVICE_A_FWMARK = 7;
const WGDEVICE_A_PEERS = 8;
const WGPEER_A_PUBLIC_KEY = 1;
const WGPEER_A_PRESHARED_KEY = 2;
const WGPEER_A_FLAGS = 3;
const WGPEER_A_ENDPOINT = 4;
const WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL = 5;
const WGPEER_A_LAST_HANDSHAKE_TIME = 6;
const WGPEER_A_RX_BYTES = 7;
const WGPEER_A_TX_BYTES = 8;
const WGPEER_A_ALLOWEDIPS = 9;
const WGPEER_F_REMOVE_ME = 1;
const WGPEER_F_UPDATE_ONLY = 4;
const WGALLOWEDIP_A_FAMILY = 1;
const WGALLOWEDIP_A_IPADDR = 2;
const WGALLOWEDIP_A_CIDR_MASK = 3;
