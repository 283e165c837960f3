import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { readOwnFile } from "../config/psk-file.ts";
import { Code, Fault } from "../fault.ts";
import { mkdirPrivate, moveAside, readSecretFile, removeTree, syncDirectory, writeNew } from "../os/file.ts";
import { Secret } from "../secret.ts";
import type { PublicKey } from "../wireguard/key.ts";
import { ensurePrivateKey, publicKeyOf, readPrivateKey } from "../wireguard/keys.ts";

/** A key pair of this node. */
export interface KeyPair<P extends string = string> {
  readonly privateKey: Secret;
  readonly publicKey: P;
}

/** WireGuard's: private key of 32 bytes. */
export type WireguardKey = KeyPair<PublicKey>;

/** IPsec's: private key as PKCS #8 (DER), public key as SubjectPublicKeyInfo (DER in base64); ed25519 (RFC 8410). */
export type IpsecKey = KeyPair;

/** One kind of key: how it is made, kept and read. */
export interface KeyKind<K extends KeyPair> {
  /** The key of the configuration that names the file. */
  readonly field: string;
  /** Reads the key in the file, and makes it where there is none. @throws Fault 7 for a damaged file, Fault 5. */
  ensure(path: string): Promise<K>;
  /** Undefined where there is no file. @throws as `ensure`. */
  read(path: string): Promise<K | undefined>;
}

export const wireguardKeys: KeyKind<WireguardKey> = {
  field: "wireguard.privateKeyFile",
  async ensure(path) {
    const key = await ensurePrivateKey(this.field, path);
    syncDirectory(directoryOf(path));
    return { privateKey: key, publicKey: await publicKeyOf(key) };
  },
  async read(path) {
    if (readSecretFile(path) === undefined) return undefined;
    const key = readPrivateKey(this.field, path);
    return { privateKey: key, publicKey: await publicKeyOf(key) };
  },
};

export const ipsecKeys: KeyKind<IpsecKey> = {
  field: "ipsec.privateKeyFile",
  async ensure(path) {
    const there = await this.read(path);
    if (there !== undefined) return there;
    const { privateKey } = generateKeyPairSync("ed25519");
    mkdirPrivate(directoryOf(path));
    // Of two that make one at the same time both go on with the same.
    const isNew = writeNew(path, privateKey.export({ format: "pem", type: "pkcs8" }));
    syncDirectory(directoryOf(path));
    return isNew ? ipsecKey(privateKey) : await this.ensure(path);
  },
  async read(path) {
    if (readSecretFile(path) === undefined) return undefined;
    const access = { euid: process.geteuid?.() ?? 0, readSecretFile };
    const bytes = readOwnFile(this.field, path, "nobody", access);
    if (!(bytes instanceof Uint8Array)) throw new Fault(Code.invalidConfig, bytes.what, bytes.remedy);
    const key = parseKey(bytes);
    if (key?.asymmetricKeyType === "ed25519") return ipsecKey(key);
    throw new Fault(
      Code.invalidConfig,
      `${this.field} is "${path}", which does not hold an ed25519 private key (PKCS #8)`,
      "restore it from a backup; or move it away, and a new one is made, of which the other nodes hear by the registry",
    );
  },
};

/** The file of the key that comes next: `wireguard.next.key` beside `wireguard.key`. Pure. */
export function nextKeyFile(path: string): string {
  return path.endsWith(".key") ? `${path.slice(0, -".key".length)}.next.key` : `${path}.next`;
}

/** Puts the next key in the place of the current one, in one step that lasts over a power failure. @throws Fault 5. */
export function promoteNextKey(path: string): void {
  moveAside(nextKeyFile(path), path);
  syncDirectory(directoryOf(path));
}

/** Forgets the next key; none is fine. @throws Fault 5. */
export function dropNextKey(path: string): void {
  removeTree(nextKeyFile(path));
  syncDirectory(directoryOf(path));
}

function ipsecKey(key: KeyObject): IpsecKey {
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" }).toString("base64");
  return { privateKey: new Secret(key.export({ format: "der", type: "pkcs8" })), publicKey };
}

/** PEM or DER. The parser's own message is not passed on: it may quote the text. */
function parseKey(bytes: Uint8Array): KeyObject | undefined {
  const buffer = Buffer.from(bytes);
  try {
    if (buffer.includes("-----BEGIN")) return createPrivateKey({ key: buffer, format: "pem" });
    return createPrivateKey({ key: buffer, format: "der", type: "pkcs8" });
  } catch {
    return undefined;
  }
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}
