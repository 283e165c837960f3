import { Code, Fault } from "../fault.ts";
import type { Command } from "./environment.ts";
import { defined, expected, isObject, type JsonObject, listAt, objectAt, required, textAt } from "./json.ts";
import { parseResult, type Result } from "./result.ts";
import { type CniVersion, parseVersion } from "./version.ts";

/** A network configuration as a plugin gets it on standard input: the keys of the specification, and the rest in `raw`. */
export interface NetConf {
  /** The version in which the answer is given. */
  readonly cniVersion: CniVersion;
  /** The network's name. */
  readonly name: string;
  /** The name of the plugin's executable. */
  readonly type: string;
  /** Chained ADD: what the plugins before us made. CHECK and DEL: what ADD returned in the end. */
  readonly prevResult?: Result;
  /** What the runtime passes for the `capabilities` that the configuration announces. */
  readonly runtimeConfig: JsonObject;
  /** GC: what is in use. Absent means that the runtime does not say; only an empty list means that nothing is. */
  readonly validAttachments?: readonly ValidAttachment[];
  /** The whole object as it was read, for the plugin's own keys and for delegates. */
  readonly raw: JsonObject;
}

/** An attachment that GC leaves alone. */
export interface ValidAttachment {
  readonly containerID: string;
  readonly ifname: string;
}

/**
 * Decodes the standard input of `command`.
 * A DEL takes a `prevResult` that cannot be read for none: it must clean up what it can, whatever it is given.
 * @throws Fault 6 when `text` is no JSON object, Fault 7 for a key that holds the wrong thing, Fault 1 for a
 * `cniVersion` that we do not speak; in this order.
 */
export function decodeNetConf(text: string, command: Command): NetConf {
  const raw = decodeObject(text);
  const name = legalNetworkName(required(textAt(raw.name, "name"), "name", "the network a name"));
  const cniVersion = parseVersion(raw.cniVersion, "cniVersion");
  return defined({
    cniVersion,
    name,
    type: required(textAt(raw.type, "type"), "type", "the name of the plugin's executable"),
    prevResult: decodePrevResult(raw.prevResult, command),
    runtimeConfig: objectAt(raw.runtimeConfig, "runtimeConfig") ?? {},
    validAttachments: decodeValidAttachments(raw),
    raw,
  });
}

/** @throws Fault 6. */
export function decodeObject(text: string): JsonObject {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    const what = text.trim() === "" ? "standard input is empty" : "standard input is no JSON";
    // The parser's own message quotes the text, and with it perhaps a secret.
    throw new Fault(Code.decode, what, "pass the network configuration as a JSON object");
  }
  if (isObject(json)) return json;
  throw new Fault(
    Code.decode,
    "standard input is JSON, but no object",
    "pass the network configuration as a JSON object",
  );
}

/** @throws Fault 7. SPEC 1.1.0, section 1: the name becomes part of file names. */
export function legalNetworkName(name: string): string {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) return name;
  throw expected(name, "name", "letters, digits, dots, underscores and hyphens, beginning with a letter or digit");
}

function decodePrevResult(json: unknown, command: Command): Result | undefined {
  if (json === undefined || json === null) return undefined;
  if (command !== "DEL") return parseResult(json, "prevResult");
  try {
    return parseResult(json, "prevResult");
  } catch {
    return undefined;
  }
}

/** JSON null is what Go makes of a list that was never set: no statement about what is in use, so nothing to remove. */
function decodeValidAttachments(raw: JsonObject): ValidAttachment[] | undefined {
  // The first drafts of 1.1.0 called it `cni.dev/attachments`; libcni 1.2 still passes both.
  const key = raw["cni.dev/valid-attachments"] == null ? "cni.dev/attachments" : "cni.dev/valid-attachments";
  const json = raw[key];
  if (json === undefined || json === null) return undefined;
  return listAt(json, key).map((value, index) => {
    const field = `${key}[${index}]`;
    const item = required(objectAt(value, field), field, "an object with containerID and ifname");
    return {
      containerID: required(textAt(item.containerID, `${field}.containerID`), `${field}.containerID`, "a container ID"),
      ifname: required(textAt(item.ifname, `${field}.ifname`), `${field}.ifname`, "the name of an interface"),
    };
  });
}
