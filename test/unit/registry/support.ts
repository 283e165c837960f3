import { parseAddress } from "../../../src/net/address.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import type { NodeRecord } from "../../../src/registry/node-record.ts";
import { recordOf } from "../../../src/registry/parse-record.ts";
import { isIssues } from "../../../src/registry/record-text.ts";
import type { RegistryState } from "../../../src/registry/registry.ts";

/** WireGuard public keys, told apart by a number. */
export function wireguardKey(number: number): string {
  const bytes = Buffer.alloc(32);
  bytes.writeUInt32BE(number + 1);
  return bytes.toString("base64");
}

/** Raw public keys of ed25519, told apart by a number. */
export function ed25519Key(number: number): string {
  return Buffer.concat([
    Buffer.from("302a300506032b6570032100", "hex"),
    Buffer.alloc(31),
    Buffer.from([number]),
  ]).toString("base64");
}

/** What a record has to have, as YAML would give it. Node `number`, up to 39000, which contradicts none of the others. */
export function rawRecord(number: number, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const [high, low] = [number >> 8, number & 0xff];
  return {
    name: nodeName(number),
    underlay: { private: [`10.9.${high}.${low}`] },
    podPrefixes: [`10.${100 + high}.${low}.0/24`, `fd00:101:${number.toString(16)}::/64`],
    wireguard: { publicKey: wireguardKey(number) },
    ...more,
  };
}

/** Sorts as its number does. */
export function nodeName(number: number): string {
  return `n${String(number).padStart(5, "0")}`;
}

/** As {@link rawRecord}, read. */
export function record(number: number, more: Readonly<Record<string, unknown>> = {}): NodeRecord {
  const read = recordOf(rawRecord(number, more));
  if (isIssues(read)) throw new Error(read.map(({ what }) => what).join("; "));
  return read;
}

export function namesOf({ nodes }: Pick<RegistryState, "nodes">): string[] {
  return nodes.map(({ name }) => name);
}

export function prefix(text: string) {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

export function address(text: string) {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

/** The first state for which `condition` holds; the test's own bound is the bound. */
export async function stateWhere(
  states: AsyncIterator<RegistryState>,
  condition: (state: RegistryState) => boolean,
): Promise<RegistryState> {
  for (;;) {
    const { value, done } = await states.next();
    if (done === true) throw new Error("the watch has ended");
    if (condition(value)) return value;
  }
}
