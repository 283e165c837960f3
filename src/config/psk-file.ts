import { Fault } from "../fault.ts";
import type { Secret } from "../secret.ts";
import { type Issue, shown } from "./issues.ts";
import { parsePskFile } from "./psk.ts";

/** What a file with a secret is, and what is in it. */
export interface SecretFile {
  /** Owner's user ID. */
  readonly uid: number;
  /** As in stat(2): type and permission bits. */
  readonly mode: number;
  /** Empty when it is no regular file: reading a FIFO would block. */
  readonly bytes: Uint8Array;
}

/** What it takes to read one; given from outside, so that the deciding stays pure. */
export interface SecretFileAccess {
  /** Effective user ID of this process. */
  readonly euid: number;
  /** Opens `path` once, for its bytes and what stat(2) says of them; undefined when there is nothing. @throws Fault. */
  readonly readSecretFile: (path: string) => SecretFile | undefined;
}

/**
 * The pre-shared key in the file at `path`, or why it is not taken: it must be a regular file of root's or of ours,
 * closed to everybody else.
 * @param field The key of the configuration that names the file.
 */
export function readPskFile(field: string, path: string, access: SecretFileAccess): Secret | Issue {
  const bytes = readOwnFile(field, path, "nobody", access);
  if (!(bytes instanceof Uint8Array)) return bytes;
  return parsePskFile(bytes) ?? refusedFile(field, path, "which holds no key", "write a key into it as for PSK");
}

/**
 * The bytes of a regular file of root's or of ours, or why it is not taken.
 * @param field The key of the configuration that names the file.
 * @param others What everybody else may do with it: nothing, as it holds a secret, or read it.
 */
export function readOwnFile(
  field: string,
  path: string,
  others: "nobody" | "readers",
  access: SecretFileAccess,
): Uint8Array | Issue {
  const file = openFile(path, access);
  if (file instanceof Fault) return { what: `${field}: ${file.what}`, remedy: file.remedy };
  const refused = (why: string, remedy: string) => refusedFile(field, path, why, remedy);
  if (file === undefined) return refused("which does not exist", "make the file, or correct the path");
  if ((file.mode & FILE_TYPE) !== REGULAR_FILE) return refused("which is no regular file", "give the path of a file");
  if (file.uid !== 0 && file.uid !== access.euid) {
    return refused(`which belongs to user ${file.uid}`, "make it root's, with chown root");
  }
  // The group counts as others: who is in it changes without anybody looking at this file.
  const { forbidden, may, remedy } = OTHERS[others];
  if ((file.mode & forbidden) !== 0) {
    const mode = (file.mode & 0o7777).toString(8).padStart(4, "0");
    return refused(`which others than its owner may ${may} (mode ${mode})`, remedy);
  }
  return file.bytes;
}

const OTHERS = {
  nobody: { forbidden: 0o077, may: "use", remedy: "close it, with chmod 600" },
  readers: { forbidden: 0o022, may: "change", remedy: "close it, with chmod go-w" },
} as const;

/** An issue with the file that `field` names. */
export function refusedFile(field: string, path: string, why: string, remedy: string): Issue {
  return { what: `${field} is ${shown(path)}, ${why}`, remedy };
}

const FILE_TYPE = 0o170000;
const REGULAR_FILE = 0o100000;

/** A file that cannot be read is one thing wrong among others: it must not hide them. */
function openFile(path: string, access: SecretFileAccess): SecretFile | Fault | undefined {
  try {
    return access.readSecretFile(path);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}
