import type { Endpoint, NamedEndpoint } from "../net/endpoint.ts";
import type { Secret } from "../secret.ts";
import { type PublicKey, parsePublicKey, parseSecretKey } from "../wireguard/key.ts";
import {
  ALLOWED_IP_EXPECTED,
  type AllowedIP,
  ENDPOINT_EXPECTED,
  parseAllowedIP,
  parsePeerEndpoint,
} from "./wireguard-peer.ts";

/** A value, and the line that it stands in, as messages name it. */
export interface Located<T> {
  readonly value: T;
  readonly path: string;
}

/** What [Interface] of a wg file says. */
export interface WgInterface {
  privateKey?: Located<Secret>;
  listenPort?: Located<number>;
  fwmark?: Located<number>;
}

/** What a [Peer] says, while it is read. */
export interface PeerDraft {
  /** File and line where the section begins. */
  readonly at: string;
  publicKey?: Located<PublicKey> | "wrong";
  presharedKey?: Secret | undefined;
  endpoint?: Located<Endpoint | NamedEndpoint>;
  readonly allowedIPs: AllowedIP[];
  persistentKeepalive: number;
}

/** A key of a section, and how its value is read. */
export interface Key<Draft> {
  readonly name: string;
  /** What must stand there, after the word "give". */
  readonly expected: string;
  /** Its value is never shown. */
  readonly secret?: true;
  /** Puts the value into the draft, or gives what of it is wrong. @param path File, line and key. */
  readonly take: (draft: Draft, value: string, path: string) => string | undefined;
}

/** By their names in small letters: wg(8) does not tell capitals apart. */
export type Keys<Draft> = ReadonlyMap<string, Key<Draft>>;

/** The keys of [Interface]. */
export const INTERFACE_KEYS: Keys<WgInterface> = byName([
  {
    name: "PrivateKey",
    expected: "a key as wg genkey writes it: 44 characters of base64",
    secret: true,
    take: (device, text, path) => {
      const value = parseSecretKey(text);
      if (value === undefined) return text;
      device.privateKey = { value, path };
      return undefined;
    },
  },
  {
    name: "ListenPort",
    expected: "a port from 0 to 65535; 0 is any",
    take: (device, text, path) => {
      const value = wholeNumber(text, 0xffff);
      if (value === undefined) return text;
      device.listenPort = { value, path };
      return undefined;
    },
  },
  {
    name: "FwMark",
    expected: "off, or a number from 0 to 4294967295 (0xffffffff)",
    take: (device, text, path) => {
      const value = parseMark(text);
      if (value === undefined) return text;
      device.fwmark = { value, path };
      return undefined;
    },
  },
]);

/** The keys of [Peer]. */
export const PEER_KEYS: Keys<PeerDraft> = byName([
  {
    name: "PublicKey",
    expected: "a key as wg pubkey writes it: 44 characters of base64",
    secret: true, // it may be the private key, by mistake
    take: (peer, text, path) => {
      const value = parsePublicKey(text);
      peer.publicKey = value === undefined ? "wrong" : { value, path };
      return value === undefined ? text : undefined;
    },
  },
  {
    name: "PresharedKey",
    expected: "a key as wg genpsk writes it: 44 characters of base64",
    secret: true,
    take: (peer, text) => {
      peer.presharedKey = parseSecretKey(text);
      return peer.presharedKey === undefined && text !== NO_KEY ? text : undefined;
    },
  },
  {
    name: "AllowedIPs",
    expected: `${ALLOWED_IP_EXPECTED}, or several with commas between them`,
    take: (peer, text, path) => {
      for (const item of text === "" ? [] : text.split(",")) {
        const prefix = parseAllowedIP(item.replace(/\/0+(?=\d)/, "/")); // strtoul(3) reads 024 as 24
        if (prefix === undefined) return item === "" ? text : item;
        peer.allowedIPs.push({ prefix, path });
      }
      return undefined;
    },
  },
  {
    name: "Endpoint",
    expected: ENDPOINT_EXPECTED,
    take: (peer, text, path) => {
      const value = parsePeerEndpoint(withBrackets(text));
      if (value === undefined) return text;
      peer.endpoint = { value, path };
      return undefined;
    },
  },
  {
    name: "PersistentKeepalive",
    expected: "off, or seconds from 0 to 65535; 0 is off",
    take: (peer, text) => {
      const seconds = text.toLowerCase() === "off" ? 0 : wholeNumber(text, 0xffff);
      if (seconds === undefined) return text;
      peer.persistentKeepalive = seconds;
      return undefined;
    },
  },
]);

/** What wg-quick(8) has in [Interface] besides, by its name in small letters, and what takes its place here. */
export const QUICK_KEYS: ReadonlyMap<string, { readonly name: string; readonly instead: string }> = new Map(
  Object.entries({
    Address: "give wireguard.address",
    MTU: "give wireguard.mtu",
    Table: "give wireguard.table",
    DNS: "name servers are given to pods in their own configuration",
    PreUp: "podvpn runs no commands",
    PostUp: "podvpn runs no commands",
    PreDown: "podvpn runs no commands",
    PostDown: "podvpn runs no commands",
    SaveConfig: "podvpn never writes this file",
  }).map(([name, instead]) => [name.toLowerCase(), { name, instead }]),
);

/** The mark of packets: `off`, decimal, or hexadecimal after 0x. 0 is none. */
export function parseMark(text: string): number | undefined {
  if (text.toLowerCase() === "off") return 0;
  if (/^0x[\dA-Fa-f]+$/.test(text)) return atMost(Number.parseInt(text, 16), 0xffff_ffff);
  return wholeNumber(text, 0xffff_ffff);
}

/** How WireGuard's tools write that there is no key: 32 zero bytes. */
const NO_KEY = `${"A".repeat(43)}=`;

function wholeNumber(text: string, most: number): number | undefined {
  return /^\d+$/.test(text) ? atMost(Number(text), most) : undefined;
}

function atMost(number: number, most: number): number | undefined {
  return number <= most ? number : undefined;
}

/** wg(8) takes what stands before the last colon for the host: also an IPv6 address without brackets, or IPv4 with. */
function withBrackets(text: string): string {
  const colon = text.lastIndexOf(":");
  const bracketed = text.startsWith("[") && text[colon - 1] === "]";
  const host = bracketed ? text.slice(1, colon - 1) : text.slice(0, colon);
  return host.includes(":") ? `[${host}]${text.slice(colon)}` : `${host}${text.slice(colon)}`;
}

function byName<Draft>(keys: readonly Key<Draft>[]): Keys<Draft> {
  return new Map(keys.map((key) => [key.name.toLowerCase(), key]));
}
