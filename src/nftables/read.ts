import { type Attributes, attribute, nested, parseAttributes } from "../netlink/attributes.ts";
import { concat, cString, readBigEndianU32, readCString, readU8, zeros } from "../netlink/bytes.ts";
import { unless } from "../netlink/error.ts";
import type { Netlink } from "../netlink/netlink.ts";
import type { Expression } from "./compare.ts";
import { hasAttribute, listOf } from "./list.ts";
import * as nf from "./protocol.ts";
import { elementName } from "./set.ts";
import { type Hook, type TableKey, tableText } from "./table.ts";

/** A table as the kernel has it, without what is in it. */
export interface TableState extends TableKey {
  /** Its chains see no packet. */
  readonly dormant: boolean;
}

/** A base chain of anybody's. */
export interface BaseChain {
  readonly table: TableKey;
  readonly name: string;
  /** "filter", "nat" or "route". */
  readonly type: string;
  readonly hook: Hook | undefined;
  readonly priority: number;
  /** What becomes of a packet that no rule decides about. */
  readonly policy: "accept" | "drop";
}

/** A rule of anybody's. */
export interface RuleState {
  readonly chain: string;
  readonly expressions: readonly Expression[];
}

/** The table, or undefined. @throws NetlinkError. */
export async function readTable(nl: Netlink, key: TableKey): Promise<TableState | undefined> {
  const body = concat(nf.header(nf.FAMILIES[key.family]), attribute(nf.TABLE_NAME, cString(key.name)));
  const answer = await unless(nl.get(nf.GETTABLE, body, `read the nft table ${tableText(key)}`), "ENOENT");
  return answer && parseTable(answer.body);
}

/** The inet, ip and ip6 tables. @throws NetlinkError. */
export async function readTables(nl: Netlink): Promise<TableState[]> {
  const answers = await nl.dump(nf.GETTABLE, nf.header(0), "list the nft tables");
  return answers.map(({ body }) => parseTable(body)).filter((table) => table !== undefined);
}

/** The base chains of the inet, ip and ip6 tables, or of one of these families. @throws NetlinkError. */
export async function readBaseChains(nl: Netlink, family?: TableKey["family"]): Promise<BaseChain[]> {
  const header = nf.header(family === undefined ? 0 : nf.FAMILIES[family]);
  const answers = await nl.dump(nf.GETCHAIN, header, "list the nft chains");
  return answers.map(({ body }) => parseBaseChain(body)).filter((chain) => chain !== undefined);
}

/** The rules of a table, or of one chain in it, in their order. @throws NetlinkError. */
export async function readRules(nl: Netlink, table: TableKey, chain?: string): Promise<RuleState[]> {
  const body = concat(
    nf.header(nf.FAMILIES[table.family]),
    attribute(nf.RULE_TABLE, cString(table.name)),
    chain === undefined ? zeros(0) : attribute(nf.RULE_CHAIN, cString(chain)),
  );
  const answers = await nl.dump(nf.GETRULE, body, `list the rules of the nft table ${tableText(table)}`);
  return answers.map((answer) => {
    const attributes = attributesOf(answer.body);
    const expressions = listOf(attributes.get(nf.RULE_EXPRESSIONS) ?? zeros(0));
    return { chain: text(attributes, nf.RULE_CHAIN), expressions };
  });
}

/** The elements of a set, each by its {@link elementName}; none when there is no such set. @throws NetlinkError. */
export async function readElements(nl: Netlink, table: TableKey, set: string): Promise<Set<string>> {
  const body = concat(
    nf.header(nf.FAMILIES[table.family]),
    attribute(nf.SET_ELEM_LIST_TABLE, cString(table.name)),
    attribute(nf.SET_ELEM_LIST_SET, cString(set)),
  );
  const operation = `read the set ${set} of the nft table ${tableText(table)}`;
  const answers = (await unless(nl.dump(nf.GETSETELEM, body, operation), "ENOENT")) ?? [];
  const elements = answers.flatMap(({ body }) => listOf(attributesOf(body).get(nf.SET_ELEM_LIST_ELEMENTS) ?? zeros(0)));
  return new Set(elements.map(elementName));
}

function parseTable(body: Uint8Array): TableState | undefined {
  const family = nf.tableFamily(readU8(body, 0));
  const attributes = attributesOf(body);
  if (family === undefined) return undefined;
  return {
    family,
    name: text(attributes, nf.TABLE_NAME),
    dormant: (number(attributes, nf.TABLE_FLAGS) & TABLE_DORMANT) !== 0,
  };
}

/** Undefined for a chain that only others jump to, and for one of another family's table. */
function parseBaseChain(body: Uint8Array): BaseChain | undefined {
  // kube-proxy makes thousands of the former.
  if (!hasAttribute(body.subarray(nf.NFGENMSG), nf.CHAIN_HOOK)) return undefined;
  const family = nf.tableFamily(readU8(body, 0));
  const attributes = attributesOf(body);
  const hook = nested(attributes, nf.CHAIN_HOOK);
  if (family === undefined) return undefined;
  return {
    table: { family, name: text(attributes, nf.CHAIN_TABLE) },
    name: text(attributes, nf.CHAIN_NAME),
    type: text(attributes, nf.CHAIN_TYPE),
    hook: HOOK_NAMES.find((name) => nf.HOOKS[name] === number(hook, nf.HOOK_HOOKNUM)),
    priority: number(hook, nf.HOOK_PRIORITY) | 0,
    policy: number(attributes, nf.CHAIN_POLICY) === nf.NF_DROP ? "drop" : "accept",
  };
}

function attributesOf(body: Uint8Array): Attributes {
  return parseAttributes(body.subarray(nf.NFGENMSG));
}

function text(attributes: Attributes, type: number): string {
  return readCString(attributes.get(type) ?? zeros(0));
}

/** 0 where there is none. */
function number(attributes: Attributes, type: number): number {
  const payload = attributes.get(type);
  return payload === undefined ? 0 : readBigEndianU32(payload, 0);
}

const HOOK_NAMES = ["prerouting", "input", "forward", "output", "postrouting"] as const;
const TABLE_DORMANT = 1;
