import { Code, Fault } from "../fault.ts";
import { mkdirPrivate, readSecretFile, type SecretFile, writeNew } from "../os/file.ts";
import { Secret } from "../secret.ts";
import { clamped, encodeKey, KEY_LENGTH, type PublicKey, parseSecretKey, publicKeyFrom } from "./key.ts";

/** A new private key, as `wg genkey` makes it: random, clamped. */
export async function makePrivateKey(): Promise<Secret> {
  const { randomBytes } = await import("node:crypto");
  return clamped(new Secret(randomBytes(KEY_LENGTH)));
}

/** The public key of a private one, as `wg pubkey` gives it (X25519, RFC 7748). */
export async function publicKeyOf(privateKey: Secret): Promise<PublicKey> {
  const { createPrivateKey, createPublicKey } = await import("node:crypto");
  const der = Buffer.concat([PKCS8_X25519, privateKey.reveal()]);
  const secret = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const spki = createPublicKey(secret).export({ format: "der", type: "spki" });
  return publicKeyFrom(spki.subarray(-KEY_LENGTH));
}

/** A PrivateKeyInfo of X25519 (RFC 8410) up to the key itself, which is its last 32 bytes. */
const PKCS8_X25519 = Buffer.from("302e020100300506032b656e04220420", "hex");

/** A public key whose private key nobody has: for the peer that `diff` lets something disappear with. */
export function randomPublicKey(): PublicKey {
  // Not by import: it is asked from where nothing can be waited for, and hardly ever.
  return publicKeyFrom(process.getBuiltinModule("node:crypto").randomBytes(KEY_LENGTH));
}

/**
 * The private key in the file at `path`, clamped.
 * @param field The key of the configuration that names the file.
 * @throws Fault 7 when there is none, when somebody else could use it, or when it is no key; Fault 5.
 */
export function readPrivateKey(field: string, path: string): Secret {
  const key = readExisting(field, path);
  if (key !== undefined) return key;
  throw refused(field, path, "which does not exist", "make it with podvpn wg genkey --file, or correct the path");
}

/**
 * The private key in the file at `path`; where there is none, one is made and stays. Whoever does so at the same time
 * gets the same key. Directories that are missing are made, with mode 0700.
 * @throws as {@link readPrivateKey}.
 */
export async function ensurePrivateKey(field: string, path: string): Promise<Secret> {
  const there = readExisting(field, path);
  if (there !== undefined) return there;
  const made = await makePrivateKey();
  return writePrivateKey(path, made) ? made : readPrivateKey(field, path);
}

/**
 * Writes a private key as wg(8) reads it, mode 0600, with the directories that are missing (0700).
 * @returns False when there is a file already, which stays as it was. @throws Fault 5.
 */
export function writePrivateKey(path: string, key: Secret): boolean {
  mkdirPrivate(path.slice(0, path.lastIndexOf("/")) || "/");
  return writeNew(path, `${encodeKey(key.reveal())}\n`);
}

function readExisting(field: string, path: string): Secret | undefined {
  const file = readSecretFile(path);
  if (file === undefined) return undefined;
  const [why, remedy] = insecurity(file) ?? [];
  if (why !== undefined && remedy !== undefined) throw refused(field, path, why, remedy);
  const key = parseSecretKey(Buffer.from(file.bytes).toString("latin1").trim());
  if (key !== undefined) return clamped(key);
  throw refused(
    field,
    path,
    "which does not hold a WireGuard private key: 44 characters of base64",
    "write one into it with wg genkey, or move the file away and podvpn makes one",
  );
}

/** Why a file with a secret is not taken, and the remedy; undefined when it is root's or ours, and closed to others. */
function insecurity({ uid, mode }: SecretFile): readonly [string, string] | undefined {
  if ((mode & FILE_TYPE) !== REGULAR_FILE) return ["which is no regular file", "give the path of a file"];
  if (uid !== 0 && uid !== process.geteuid?.())
    return [`which belongs to user ${uid}`, "make it root's, with chown root"];
  // The group counts as others: who is in it changes without anybody looking at this file.
  if ((mode & 0o077) === 0) return undefined;
  const bits = (mode & 0o7777).toString(8).padStart(4, "0");
  return [`which others than its owner may use (mode ${bits})`, "close it, with chmod 600"];
}

const FILE_TYPE = 0o170000;
const REGULAR_FILE = 0o100000;

function refused(field: string, path: string, why: string, remedy: string): Fault {
  return new Fault(Code.invalidConfig, `${field} is "${path}", ${why}`, remedy);
}
