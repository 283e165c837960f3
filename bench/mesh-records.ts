import { randomBytes } from "node:crypto";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { type Address, parseAddress } from "../src/net/address.ts";
import { type Prefix, parsePrefix } from "../src/net/prefix.ts";
import type { NodeRecord } from "../src/registry/node-record.ts";
import { recordText } from "../src/registry/record-text.ts";
import { publicKeyFrom } from "../src/wireguard/key.ts";

/** Of all pods: nodes take shares of 256 addresses. */
export const NETWORK = "10.96.0.0/12";

/** Where the shares of those are that nobody is: the agents' own are cut elsewhere. */
export const STRANGERS = "10.96.0.0/14";

/**
 * A node that nobody is, with a share of its own from 10.96.0.0 on: any 32 bytes are a public key. Its underlay address
 * is one of RFC 2544's, to which nothing is ever sent, as nobody has anything for its pods.
 */
export function stranger(index: number): NodeRecord {
  return {
    name: nameOf(index),
    generation: 1,
    underlay: { private: [address(`198.18.${index >> 8}.${index & 255}`)], public: [] },
    podPrefixes: [prefix(`10.${96 + (index >> 8)}.${index & 255}.0/24`)],
    since: 1_700_000_000_000,
    addresses: [meshAddress(index)],
    drivers: ["wireguard"],
    wireguard: { publicKey: publicKeyFrom(randomBytes(32)), port: 51_820 },
    gateway: false,
    keepalive: 0,
    labels: {},
  };
}

/** Name of a stranger: behind those of the nodes that there are. */
export function nameOf(index: number): string {
  return `s${String(index).padStart(4, "0")}`;
}

/** A stranger's own address in the mesh. */
export function meshAddress(index: number): Address {
  return address(`10.${96 + (index >> 8)}.${index & 255}.1`);
}

/** The node with one more pod prefix, of 10.111.0.0/16, which no other has. */
export function withMore(record: NodeRecord, number: number): NodeRecord {
  const more = prefix(`10.111.${number & 255}.0/24`);
  return { ...record, generation: record.generation + 1, podPrefixes: [...record.podPrefixes, more] };
}

/** Puts a record into the registry as an agent does: its file is there as a whole, or not at all. */
export function putRecord(registry: string, record: NodeRecord): void {
  const nodes = `${registry}/nodes`;
  mkdirSync(nodes, { recursive: true });
  const temporary = `${nodes}/.${record.name}.bench`;
  writeFileSync(temporary, recordText(record));
  renameSync(temporary, `${nodes}/${record.name}.yaml`);
}

export function removeRecord(registry: string, name: string): void {
  rmSync(`${registry}/nodes/${name}.yaml`);
}

function address(text: string): Address {
  return given(parseAddress(text), text);
}

export function prefix(text: string): Prefix {
  return given(parsePrefix(text), text);
}

function given<T>(value: T | undefined, text: string): T {
  if (value === undefined) throw new TypeError(text);
  return value;
}
