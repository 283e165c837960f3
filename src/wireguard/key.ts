import type { Branded } from "../net/address.ts";
import { Secret } from "../secret.ts";

/**
 * A WireGuard public key (a point of Curve25519, RFC 7748) in standard base64, as wg(8) writes it: equal keys are equal
 * strings. Made only by {@link parsePublicKey} and {@link publicKeyFrom}.
 */
export type PublicKey = Branded<"PublicKey">;

/** In bytes: of private, public and preshared keys alike. */
export const KEY_LENGTH = 32;

/** The public key in `text`, or undefined. As strict as wg(8): 44 characters of canonical base64. */
export function parsePublicKey(text: string): PublicKey | undefined {
  const bytes = decodeKey(text);
  return bytes && publicKeyFrom(bytes);
}

/** A private or preshared key in base64, or undefined; the key of zeros is WireGuard's word for none. */
export function parseSecretKey(text: string): Secret | undefined {
  const bytes = decodeKey(text);
  return bytes === undefined || isZero(bytes) ? undefined : new Secret(bytes);
}

/** The public key of these 32 bytes. @throws RangeError for another length. */
export function publicKeyFrom(bytes: Uint8Array): PublicKey {
  if (bytes.length !== KEY_LENGTH) throw new RangeError(`a WireGuard key has ${KEY_LENGTH} bytes, not ${bytes.length}`);
  return encodeKey(bytes) as PublicKey;
}

/** The 32 bytes of a public key. */
export function publicKeyBytes(key: PublicKey): Uint8Array {
  return Buffer.from(key, "base64");
}

/** In base64, for where keys are written: a key file, a public key. Never for a message. */
export function encodeKey(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

/** Whether the two are the same key; undefined is no key. */
export function sameSecret(one: Secret | undefined, other: Secret | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return Buffer.compare(one.reveal(), other.reveal()) === 0;
}

/**
 * The private key as a device keeps it: with the bits of RFC 7748 section 5 ("decodeScalar25519") set and cleared, which
 * is another text of the same key. The kernel and the user space do so to each that they are given.
 */
export function clamped(privateKey: Secret): Secret {
  const bytes = Uint8Array.from(privateKey.reveal());
  bytes[0] = (bytes[0] ?? 0) & 0xf8;
  bytes[KEY_LENGTH - 1] = ((bytes[KEY_LENGTH - 1] ?? 0) & 0x7f) | 0x40;
  return new Secret(bytes);
}

/** Whether all bytes are zero: how the kernel and the user space tell that there is no key. */
export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

function decodeKey(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, "base64");
  // Node's decoder skips what it does not know: only the text that it would write itself is the key.
  return bytes.length === KEY_LENGTH && bytes.toString("base64") === text ? bytes : undefined;
}
