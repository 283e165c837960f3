import { getSystemErrorName } from "node:util";
import { Code, Fault } from "../fault.ts";
import { type Endpoint, endpointText, parseEndpoint } from "../net/endpoint.ts";
import { type Prefix, parsePrefix } from "../net/prefix.ts";
import { Secret } from "../secret.ts";
import type { DeviceChange, DeviceState, PeerChange, PeerState } from "./device.ts";
import { KEY_LENGTH, type PublicKey, publicKeyBytes, publicKeyFrom } from "./key.ts";
import { type Limits, splitChange } from "./split.ts";

// The configuration protocol of the user-space implementations (https://www.wireguard.com/xplatform/): lines of
// key=value, keys in hex, an empty line at the end.

/** Asks for all of the device. */
export const GET = "get=1\n\n";

/**
 * An operation has less than 64 KiB, which a socket's buffer takes at once: a writer that is killed does not leave half
 * of a line, of which `allowed_ip=10.0.0.0/1` and `…/16` would be the same to the reader.
 */
const LIMITS: Limits = { peers: 128, allowedIPs: 512 };

/** The change as operations, to be written one after the other. */
export function encodeSet(change: DeviceChange): string[] {
  return splitChange(change, LIMITS).map(encodeOperation);
}

function encodeOperation({ privateKey, listenPort, fwmark, peers }: DeviceChange): string {
  const lines = [
    "set=1",
    // First: a port in use is what can be wrong, and nothing has been changed then.
    ...line("listen_port", listenPort),
    ...line("fwmark", fwmark),
    ...line("private_key", privateKey && hex(privateKey.reveal())),
    ...peers.flatMap(peerLines),
  ];
  return `${lines.join("\n")}\n\n`;
}

function peerLines(change: PeerChange): string[] {
  const publicKey = `public_key=${hex(publicKeyBytes(change.publicKey))}`;
  if ("remove" in change) return [publicKey, "remove=true"];
  const { isNew, presharedKey, endpoint, persistentKeepalive, addAllowedIPs } = change;
  return [
    publicKey,
    ...(isNew ? [] : ["update_only=true"]),
    ...line("preshared_key", presharedKey && hex(presharedKey === "none" ? NO_KEY : presharedKey.reveal())),
    ...line("endpoint", endpoint && endpointText(endpoint)),
    ...line("persistent_keepalive_interval", persistentKeepalive),
    ...addAllowedIPs.map((prefix) => `allowed_ip=${prefix}`),
  ];
}

function line(key: string, value: string | number | undefined): string[] {
  return value === undefined ? [] : [`${key}=${value}`];
}

const NO_KEY = new Uint8Array(KEY_LENGTH);
const NO_KEY_HEX = "00".repeat(KEY_LENGTH);

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** Name of the errno in an answer; undefined when all went well. @throws Fault 102 when the answer is not whole. */
export function answerErrno(answer: string): string | undefined {
  const errno = Number(/(?:^|\n)errno=(-?\d{1,5})\n\n$/.exec(answer)?.[1]);
  if (Number.isNaN(errno)) throw unreadable("it has no errno at its end");
  return errno === 0 ? undefined : getSystemErrorName(-Math.abs(errno));
}

/**
 * The state in the answer to {@link GET}. Keys of newer versions are passed over. An endpoint that is not an address and
 * a port (one with a zone) is left out: where that peer is we cannot say.
 * @param only The peers that are wanted, all others being passed over unread; absent: all.
 * @throws Fault 102 for an errno, and for what is no answer.
 */
export function parseGet(answer: string, only?: ReadonlySet<PublicKey>): DeviceState {
  const errno = answerErrno(answer);
  if (errno !== undefined) throw new Fault(Code.kernel, `wireguard-go refuses to be read (${errno})`, RESTART);
  const wanted = only && new Set([...only].map((key) => hex(publicKeyBytes(key))));
  const starts = peerStarts(answer);
  const device = section(answer.slice(0, starts[0]));
  const privateKey = secretKey(device.get("private_key"));
  return {
    ...(privateKey === undefined ? {} : { privateKey }),
    listenPort: integer(device, "listen_port", 65_535),
    fwmark: integer(device, "fwmark", 0xffff_ffff),
    peers: starts.flatMap((start, index) => {
      if (wanted !== undefined && !wanted.has(answer.slice(start + PEER.length, answer.indexOf("\n", start))))
        return [];
      return [peerState(section(answer.slice(start, starts[index + 1])))];
    }),
  };
}

/** How a peer begins. */
const PEER = "public_key=";

/** Where each peer begins. */
function peerStarts(answer: string): number[] {
  const starts: number[] = answer.startsWith(PEER) ? [0] : [];
  for (let at = answer.indexOf(`\n${PEER}`); at >= 0; at = answer.indexOf(`\n${PEER}`, at + 1)) starts.push(at + 1);
  return starts;
}

const RESTART = "see its log; when it is stopped, the next ADD or CHECK starts it anew";

/** The values of one device or peer by key, each key's in the order of the answer. */
type Section = Map<string, string[]>;

/** What the device or a peer has. */
function section(text: string): Section {
  const values: Section = new Map();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("errno=")) continue;
    const equals = line.indexOf("=");
    if (equals < 1) throw unreadable("a line is not key=value");
    const key = line.slice(0, equals);
    const before = values.get(key);
    if (before === undefined) values.set(key, [line.slice(equals + 1)]);
    else before.push(line.slice(equals + 1));
  }
  return values;
}

function peerState(peer: Section): PeerState {
  const presharedKey = secretKey(peer.get("preshared_key"));
  const endpoint = endpointOf(peer.get("endpoint"));
  const latestHandshake =
    integer(peer, "last_handshake_time_sec") * 1000 + Math.floor(integer(peer, "last_handshake_time_nsec") / 1e6);
  return {
    publicKey: publicKeyFrom(keyBytes(peer.get("public_key")?.[0] ?? "", "public_key")),
    ...(presharedKey === undefined ? {} : { presharedKey }),
    ...(endpoint === undefined ? {} : { endpoint }),
    persistentKeepalive: integer(peer, "persistent_keepalive_interval", 65_535),
    allowedIPs: (peer.get("allowed_ip") ?? []).map(allowedIP),
    ...(latestHandshake === 0 ? {} : { latestHandshake }),
    receivedBytes: integer(peer, "rx_bytes"),
    sentBytes: integer(peer, "tx_bytes"),
  };
}

/** A private or preshared key; undefined for the key of zeros, which is how a device says that it has none. */
function secretKey(values: readonly string[] | undefined): Secret | undefined {
  const [text] = values ?? [];
  return text === undefined || text === NO_KEY_HEX ? undefined : new Secret(keyBytes(text, "a secret key"));
}

function keyBytes(text: string, key: string): Uint8Array {
  if (!/^[\da-f]{64}$/i.test(text)) throw unreadable(`${key} is not 64 hex digits`);
  return Buffer.from(text, "hex");
}

/** A decimal number, 0 when it is not told; by default up to what the protocol's widest fields have. */
function integer(section: Section, key: string, most = 2 ** 64): number {
  const text = section.get(key)?.[0] ?? "0";
  if (text === "0") return 0;
  const value = Number(text);
  if (!/^\d{1,20}$/.test(text) || value > most) throw unreadable(`${key} is not a number that it can be`);
  return value;
}

function endpointOf(values: readonly string[] | undefined): Endpoint | undefined {
  const endpoint = parseEndpoint(values?.[0] ?? "");
  return endpoint !== undefined && "address" in endpoint ? endpoint : undefined;
}

function allowedIP(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw unreadable("allowed_ip is not a prefix");
  return prefix;
}

/** Says where, never what: the answer holds keys. */
function unreadable(why: string): Fault {
  return new Fault(Code.kernel, `wireguard-go's answer cannot be read: ${why}`, RESTART);
}
