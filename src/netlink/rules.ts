import { addressBytes, type Family } from "../net/address.ts";
import { networkAddress, type Prefix, prefixLength } from "../net/prefix.ts";
import { type Attributes, attribute, optional, parseAttributes, u8Of, u32Of } from "./attributes.ts";
import { concat, cString, readCString, readU8, readU32, u8, u32, zeros } from "./bytes.ts";
import { changed } from "./error.ts";
import { af, prefixFrom, versionOf } from "./family.ts";
import { type Message, NLM_F_CREATE, NLM_F_EXCL } from "./message.ts";
import type { Netlink } from "./netlink.ts";

/** "lookup": go on in {@link Rule.table}. */
export type RuleAction = keyof typeof ACTIONS;

/** A rule of the routing policy database. Absent selectors match everything. */
export interface Rule {
  readonly family: Family;
  /** Lower is asked first; 32766 is `main`. Several rules may have the same. */
  readonly priority: number;
  readonly action: RuleAction;
  /** Only with "lookup". */
  readonly table?: number;
  readonly src?: Prefix;
  readonly dst?: Prefix;
  /** Name of the link that the packet came in on ("lo": made here), which need not exist. */
  readonly iif?: string;
  /** Name of the link that the sending socket is bound to. */
  readonly oif?: string;
  readonly fwmark?: number;
  /** Bits of the mark that count; absent: all. */
  readonly fwmask?: number;
  /** Matches what the selectors do not (`ip rule add not …`). */
  readonly invert?: true;
  /** Who made it: PROTOCOL_PODVPN, 2 the kernel, 3 boot (`ip rule`'s default). */
  readonly protocol: number;
}

/**
 * All rules, of one family if given. Rules that are no {@link Rule} (`goto`, `nop`, l3mdev) are left out, and of the
 * others the selectors that it does not have (ports, uid ranges, …) are not read.
 * @throws NetlinkError
 */
export async function listRules(nl: Netlink, version?: Family): Promise<Rule[]> {
  const body = concat(u8(version === undefined ? 0 : af(version)), zeros(FIB_RULE_HDR - 1));
  const messages = await nl.dump(RTM_GETRULE, body, "list the routing rules");
  return messages.map(parseRule).filter((rule) => rule !== undefined);
}

/** @throws NetlinkError EEXIST when there is the very same. */
export async function addRule(nl: Netlink, rule: Rule): Promise<void> {
  await nl.change(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, ruleMessage(rule), `add the ${text(rule)}`);
}

/** True when the rule was added, false when it was there. @throws NetlinkError */
export function ensureRule(nl: Netlink, rule: Rule): Promise<boolean> {
  return changed(addRule(nl, rule), "EEXIST");
}

/** Removes the first rule that agrees in all that is given. @throws NetlinkError ENOENT when there is none. */
export async function removeRule(nl: Netlink, rule: Rule): Promise<void> {
  await nl.change(RTM_DELRULE, 0, ruleMessage(rule), `remove the ${text(rule)}`);
}

/** True when the rule was removed, false when there was none. @throws NetlinkError */
export function ensureNoRule(nl: Netlink, rule: Rule): Promise<boolean> {
  return changed(removeRule(nl, rule), "ENOENT");
}

/** struct fib_rule_hdr and attributes (linux/fib_rules.h); undefined for what {@link listRules} leaves out. */
function parseRule({ body }: Message): Rule | undefined {
  const version = versionOf(readU8(body, 0));
  const action = ACTION_NAMES.find((name) => ACTIONS[name] === readU8(body, 7));
  const attributes = parseAttributes(body.subarray(FIB_RULE_HDR));
  if (version === undefined || action === undefined || u8Of(attributes, FRA_L3MDEV)) return undefined;
  const dstLength = readU8(body, 1);
  const srcLength = readU8(body, 2);
  const mask = u32Of(attributes, FRA_FWMASK);
  return {
    family: version,
    priority: u32Of(attributes, FRA_PRIORITY) ?? 0,
    action,
    protocol: u8Of(attributes, FRA_PROTOCOL) ?? 0,
    ...(action === "lookup" && { table: u32Of(attributes, FRA_TABLE) ?? readU8(body, 4) }),
    ...(srcLength > 0 && { src: prefixFrom(attributes.get(FRA_SRC), srcLength, version) }),
    ...(dstLength > 0 && { dst: prefixFrom(attributes.get(FRA_DST), dstLength, version) }),
    ...named("iif", attributes, FRA_IIFNAME),
    ...named("oif", attributes, FRA_OIFNAME),
    ...marked(u32Of(attributes, FRA_FWMARK), mask),
    ...((readU32(body, 8) & FIB_RULE_INVERT) !== 0 && { invert: true as const }),
  };
}

function named<K extends "iif" | "oif">(key: K, attributes: Attributes, type: number): { [P in K]?: string } {
  const name = attributes.get(type);
  return name === undefined ? {} : ({ [key]: readCString(name) } as { [P in K]: string });
}

/** The kernel sends both for a rule with a mark, and a mark of 0 with a mask is a selector as well. */
function marked(fwmark: number | undefined, fwmask: number | undefined): Pick<Rule, "fwmark" | "fwmask"> {
  if (fwmark === undefined && fwmask === undefined) return {};
  return { fwmark: fwmark ?? 0, ...(fwmask !== undefined && fwmask !== ALL_BITS && { fwmask }) };
}

function ruleMessage(rule: Rule): Uint8Array {
  return concat(
    u8(af(rule.family)),
    u8(rule.dst === undefined ? 0 : prefixLength(rule.dst)),
    u8(rule.src === undefined ? 0 : prefixLength(rule.src)),
    u8(0), // TOS
    u8(0), // table: FRA_TABLE has 32 bits
    zeros(2),
    u8(ACTIONS[rule.action]),
    u32(rule.invert ? FIB_RULE_INVERT : 0),
    attribute(FRA_PRIORITY, u32(rule.priority)),
    attribute(FRA_PROTOCOL, u8(rule.protocol)),
    optional(FRA_TABLE, rule.table, u32),
    optional(FRA_DST, rule.dst, networkBytes),
    optional(FRA_SRC, rule.src, networkBytes),
    optional(FRA_IIFNAME, rule.iif, cString),
    optional(FRA_OIFNAME, rule.oif, cString),
    optional(FRA_FWMARK, rule.fwmark, u32),
    optional(FRA_FWMASK, rule.fwmask, u32),
  );
}

function networkBytes(prefix: Prefix): Uint8Array {
  return addressBytes(networkAddress(prefix));
}

function text({ family, priority, action, table, src, dst }: Rule): string {
  const selector = `from ${src ?? "all"} to ${dst ?? "all"}`;
  return `IPv${family} rule ${priority} ${selector} ${action}${table === undefined ? "" : ` ${table}`}`;
}

const ACTIONS = { lookup: 1, blackhole: 6, unreachable: 7, prohibit: 8 } as const;
const ACTION_NAMES = Object.keys(ACTIONS) as RuleAction[];
const ALL_BITS = 0xffffffff;
const FIB_RULE_HDR = 12;
const FIB_RULE_INVERT = 2;
const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_GETRULE = 34;
const FRA_DST = 1;
const FRA_SRC = 2;
const FRA_IIFNAME = 3;
const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_TABLE = 15;
const FRA_FWMASK = 16;
const FRA_OIFNAME = 17;
const FRA_L3MDEV = 19;
const FRA_PROTOCOL = 21;
