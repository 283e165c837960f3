import { describe, expect, test } from "vitest";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.ts";
import { attribute, nest } from "../../../src/netlink/attributes.ts";
import { bigEndianU32, cString } from "../../../src/netlink/bytes.ts";
import { beginsWith, refusesAlways, sameExpressions } from "../../../src/nftables/compare.ts";
import { listOf } from "../../../src/nftables/list.ts";
import { matchesExpressions, type RuleScope, ruleExpressions } from "../../../src/nftables/rule.ts";
import type { Rule } from "../../../src/nftables/table.ts";

const prefix = (text: string): Prefix => parsePrefix(text) ?? expect.fail(text);
const INET: RuleScope = { family: "inet", sets: [{ name: "mesh4", family: 4, prefixes: [] }] };

/** The expressions without the header of the list's elements. */
const encoded = (rule: Rule, scope: RuleScope = INET) => ruleExpressions(scope, rule).flatMap(listOf);

/** An expression as the kernel gives it: without marks of nesting, and with more than we send. */
function kernels(name: string, ...data: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat([attribute(1, cString(name)), attribute(2, Buffer.concat(data))]);
}

describe("a rule that could not do what it says", () => {
  test("is refused when it names a set that the table does not have", () => {
    const rule: Rule = { matches: [{ address: "saddr", inSet: "mesh6" }], action: "drop" };
    expect(() => ruleExpressions(INET, rule)).toThrow("the table has no set mesh6");
  });

  test("is refused when it wants two families, or another than its table", () => {
    const both: Rule["matches"] = [
      { address: "saddr", in: prefix("10.0.0.0/8") },
      { address: "daddr", in: prefix("fd00::/8") },
    ];
    expect(() => ruleExpressions(INET, { matches: both, action: "drop" })).toThrow(TypeError);
    expect(() => ruleExpressions({ family: "ip" }, { matches: both.slice(1), action: "drop" })).toThrow(TypeError);
  });

  test("is refused when it shall keep the source of packets of either family", () => {
    const matches: Rule["matches"] = [{ device: "oifname", is: "podvpn0" }];
    expect(() => ruleExpressions(INET, { matches, action: "keepSource" })).toThrow(/family/);
    expect(() => ruleExpressions({ family: "ip6" }, { matches, action: "keepSource" })).not.toThrow();
  });
});

describe("a rule of the kernel", () => {
  const rule: Rule = { matches: [{ device: "iifname", is: "podvpn0" }], action: "accept" };
  const [meta, cmp, verdict] = encoded(rule);
  if (meta === undefined || cmp === undefined || verdict === undefined) throw new TypeError("three expressions");
  const counter = kernels("counter", attribute(1, new Uint8Array(8)), attribute(2, new Uint8Array(8)));

  test("is the same whether it counts or not", () => {
    expect(sameExpressions([meta, cmp, counter, verdict], [meta, cmp, verdict])).toBe(true);
    expect(sameExpressions([meta, cmp, verdict], [meta, cmp, counter, verdict])).toBe(true);
  });

  test("is the same when the kernel tells more than it was told", () => {
    const there = kernels(
      "meta",
      attribute(1, bigEndianU32(1)),
      attribute(9, bigEndianU32(0)),
      attribute(2, bigEndianU32(6)),
    );
    expect(sameExpressions([there, cmp, verdict], [meta, cmp, verdict])).toBe(true);
  });

  test("is another one when anything differs, is missing or comes besides", () => {
    const other = encoded({ ...rule, matches: [{ device: "iifname", is: "podvpn1" }] });
    expect(sameExpressions(other, [meta, cmp, verdict])).toBe(false);
    expect(sameExpressions([meta, cmp], [meta, cmp, verdict])).toBe(false);
    expect(sameExpressions([meta, cmp, verdict, verdict], [meta, cmp, verdict])).toBe(false);
    expect(sameExpressions(encoded({ ...rule, action: "drop" }), [meta, cmp, verdict])).toBe(false);
  });

  test("begins as another whose matches it has first", () => {
    const begin = matchesExpressions(INET, rule.matches).flatMap(listOf);
    expect(beginsWith([meta, cmp, kernels("immediate")], begin)).toBe(true);
    expect(beginsWith([cmp, meta], begin)).toBe(false);
    expect(beginsWith([meta], begin)).toBe(false);
  });
});

describe("a rule refuses everything", () => {
  const drop = encoded({ matches: [], action: "drop" });

  test.each([
    ["when it drops", drop, true],
    ["when it rejects", [kernels("reject", attribute(1, bigEndianU32(0)))], true],
    [
      "when it rejects as iptables-nft does",
      [kernels("counter"), kernels("target", attribute(1, cString("REJECT")))],
      true,
    ],
    ["when it has a comment of iptables", [kernels("match", attribute(1, cString("comment"))), ...drop], true],
    ["but not when it matches", [kernels("match", attribute(1, cString("conntrack"))), ...drop], false],
    ["but not when it is for a device", encoded({ matches: [{ device: "iifname", is: "x" }], action: "drop" }), false],
    ["but not when it accepts", encoded({ matches: [], action: "accept" }), false],
    ["but not when it logs", [kernels("target", attribute(1, cString("LOG")))], false],
    ["but not when it says nothing", [], false],
  ])("%s", (_, expressions, refuses) => {
    expect(refusesAlways(expressions)).toBe(refuses);
  });
});

test("a list that is broken is told, not read past its end", () => {
  expect(() => listOf(nest(1, attribute(1, new Uint8Array(8))).subarray(0, 8))).toThrow(RangeError);
});
