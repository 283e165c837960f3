import { Fault } from "../fault.ts";
import { Secret } from "../secret.ts";
import { parseSecretKey } from "../wireguard/key.ts";
import type { Values } from "./fields.ts";
import { isObject, kindOf, parseItem } from "./hub-item.ts";
import { type Issue, pathOf } from "./issues.ts";
import { readOwnFile, refusedFile, type SecretFileAccess } from "./psk-file.ts";
import { peerFields } from "./wireguard-fields.ts";
import { type AllowedIP, distinct, type WantedPeer } from "./wireguard-peer.ts";

/**
 * The peers of a list; what is wrong goes to `issues`.
 * @param path Where the list stands: `wireguard.peers`, or the path of a file.
 */
export function peersOf(
  items: readonly unknown[],
  path: string,
  access: SecretFileAccess,
  issues: Issue[],
): WantedPeer[] {
  const fields = peerFields(); // once for all of them
  return items.flatMap((item, index) => {
    const at = pathOf(path, index);
    if (!isObject(item)) {
      issues.push({
        what: `${at} is ${kindOf(item)}`,
        remedy: "give an object with publicKey, endpoint and allowedIPs",
      });
      return [];
    }
    const parsed = parseItem(fields, item, at);
    issues.push(...parsed.issues);
    const { presharedKeyFile } = parsed.values;
    const key = presharedKeyFile === undefined ? undefined : presharedKey(at, presharedKeyFile, access);
    if (key !== undefined && !(key instanceof Secret)) issues.push(key);
    return parsed.complete ? [peerOf(parsed.values, item, at, key instanceof Secret ? key : undefined)] : [];
  });
}

/** The peers of `peersFile`; what is wrong goes to `issues`. */
export async function peersOfFile(path: string, access: SecretFileAccess, issues: Issue[]): Promise<WantedPeer[]> {
  const field = "wireguard.peersFile";
  const bytes = readOwnFile(field, path, "readers", access);
  if (!(bytes instanceof Uint8Array)) {
    issues.push(bytes);
    return [];
  }
  const content = await parseText(Buffer.from(bytes).toString("utf8"), path);
  if (content instanceof Fault) {
    issues.push({ what: `${field}: ${content.what}`, remedy: content.remedy });
    return [];
  }
  if (Array.isArray(content)) return peersOf(content, path, access, issues);
  if (isObject(content) && Array.isArray(content.peers)) {
    const others = Object.keys(content).filter((key) => key !== "peers");
    const unknown = others.map((key) => ({ what: `${pathOf(path, key)} is not known`, remedy: "take it out" }));
    issues.push(...unknown);
    return peersOf(content.peers, `${path}: peers`, access, issues);
  }
  // An empty file is no empty list: it may be one that is being written.
  const holds = isObject(content) ? "an object without a list as peers" : kindOf(content);
  issues.push(refusedFile(field, path, `which holds ${holds}`, "write a list of peers into it; [] is none"));
  return [];
}

/** JSON is YAML as well, but as YAML a thousand peers take a tenth of a second more, at each ADD. */
async function parseText(text: string, path: string): Promise<unknown> {
  if (/^\s*[[{]/.test(text)) {
    try {
      return JSON.parse(text);
    } catch {
      // YAML in flow style, or wrong: then YAML's error has the line
    }
  }
  const { parseYaml } = await import("./yaml.ts");
  try {
    return parseYaml(text, path);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

type PeerValues = Values<ReturnType<typeof peerFields>>;
type JsonObject = Readonly<Record<string, unknown>>;

function peerOf(values: PeerValues, item: JsonObject, at: string, key: Secret | undefined): WantedPeer {
  const { publicKey, name, endpoint, persistentKeepalive } = values;
  const path = pathOf(at, "allowedIPs");
  const isList = Array.isArray(item.allowedIPs);
  const allowed = values.allowedIPs.map(
    (prefix, index): AllowedIP => ({ prefix, path: isList ? pathOf(path, index) : path }),
  );
  const { allowedIPs, paths } = distinct(allowed);
  return {
    publicKey,
    ...(name === undefined ? {} : { name }),
    ...(endpoint === undefined ? {} : { endpoint }),
    allowedIPs,
    ...(key === undefined ? {} : { presharedKey: key }),
    persistentKeepalive,
    place: { publicKey: pathOf(at, "publicKey"), endpoint: pathOf(at, "endpoint"), allowedIPs: paths },
  };
}

/** As wg(8) reads it: a key, and white space at most behind it. An empty file is none: that would turn it off silently. */
function presharedKey(at: string, path: string, access: SecretFileAccess): Secret | Issue {
  const field = pathOf(at, "presharedKeyFile");
  const bytes = readOwnFile(field, path, "nobody", access);
  if (!(bytes instanceof Uint8Array)) return bytes;
  const text = Buffer.from(bytes)
    .toString("latin1")
    .replace(/[\t-\r ]+$/, "");
  return parseSecretKey(text) ?? refusedFile(field, path, "which holds no key", "write one into it with wg genpsk");
}
