import { stringify } from "yaml";
import type { Issue } from "../config/issues.ts";
import { readYaml } from "../config/yaml.ts";
import type { NodeRecord } from "./node-record.ts";
import { recordOf } from "./parse-record.ts";

/** Something that is wrong with a record's text. */
export interface RecordIssue extends Issue {
  /** From 1; absent when it is about the whole. */
  readonly line?: number;
}

/** More issues of one text are of no use to anybody. */
const ISSUES = 20;

/** How a text begins that an agent wrote, and how it ends: without its end, the text was cut off. */
const BEGIN = "# Written by podvpn agent on this node";
const END = "...\n";

/**
 * The text of a record: YAML, keys in a fixed order, with a remark for people on top. Pure.
 * {@link parseRecordText} gives the same record again.
 */
export function recordText(record: NodeRecord): string {
  const { name, generation, underlay, podPrefixes, since, addresses, drivers } = record;
  const { wireguard, ipsec, site, gateway, keepalive, mtu, labels } = record;
  const names = Object.keys(labels).sort();
  const keys = {
    name,
    generation,
    underlay: { private: [...underlay.private], public: [...underlay.public] },
    podPrefixes: [...podPrefixes],
    ...(since === undefined ? {} : { since: new Date(since).toISOString() }),
    addresses: [...addresses],
    drivers: [...drivers],
    ...(wireguard === undefined ? {} : { wireguard: inOrder(wireguard, ["publicKey", "port", "nextPublicKey"]) }),
    ...(ipsec === undefined ? {} : { ipsec: inOrder(ipsec, ["identity", "publicKey", "nextPublicKey"]) }),
    ...(site === undefined ? {} : { site }),
    gateway,
    keepalive,
    ...(mtu === undefined ? {} : { mtu }),
    labels: Object.fromEntries(names.map((label) => [label, labels[label]])),
  };
  const remark = `${BEGIN} (${name}), at each change: edit agent.yaml there instead.\n`;
  return `${remark}${stringify(keys, { lineWidth: 0 })}${END}`;
}

function inOrder<T extends object>(value: T, keys: readonly (keyof T & string)[]): Record<string, unknown> {
  return Object.fromEntries(keys.filter((key) => value[key] !== undefined).map((key) => [key, value[key]]));
}

/** Reads the text of a record. Pure. @returns The record, or everything that is wrong, in the order of the lines. */
export function parseRecordText(text: string): NodeRecord | readonly [RecordIssue, ...RecordIssue[]] {
  if (text.trim() === "") return [{ what: "is empty", remedy: REWRITE }];
  // What is left of a text that was cut off may well be YAML, and even a record: of something else.
  if (text.startsWith(BEGIN) && !text.endsWith(`\n${END}`)) {
    return [{ line: text.split("\n").length, what: "is cut off: its last line is not three dots", remedy: REWRITE }];
  }
  const yaml = readYaml(text);
  if (!("value" in yaml)) {
    const { line, what, remedy } = yaml;
    return [{ ...(line === undefined ? {} : { line }), what, remedy }];
  }
  const record = recordOf(yaml.value);
  if (!isIssues(record)) return record;
  const located = record.slice(0, ISSUES).map((issue): RecordIssue => ({ line: yaml.lineOf(issue.what), ...issue }));
  const [first, ...others] = located.sort((one, other) => (one.line ?? 0) - (other.line ?? 0));
  if (first === undefined) throw new TypeError("an error in a record was found and not told");
  return [first, ...others];
}

const REWRITE = "wait until it is written in full, or restart the agent of that node";

/** The line in a record's text that the field `path` stands in, or what is around it; 1 when there is none. Pure. */
export function lineOfField(text: string, path: string): number {
  const yaml = readYaml(text);
  return "value" in yaml ? yaml.lineOf(path) : 1;
}

/** Whether it is what is wrong with a record, and not the record. */
export function isIssues<T extends Issue>(result: NodeRecord | readonly [T, ...T[]]): result is readonly [T, ...T[]] {
  return Array.isArray(result);
}
