import { cString } from "../netlink/bytes.ts";
import { drop } from "./expressions.ts";
import { entries, listOf } from "./list.ts";

/** One expression of a rule: its name and data, encoded. */
export type Expression = Uint8Array;

/**
 * Whether a rule that the kernel has does what one of ours would do. Whether it counts is no matter. Pure.
 * @param wanted As we would send it.
 */
export function sameExpressions(actual: readonly Expression[], wanted: readonly Expression[]): boolean {
  return withoutCounters(actual).length === withoutCounters(wanted).length && beginsWith(actual, wanted);
}

/** Whether a rule begins as one of ours would. Pure. */
export function beginsWith(actual: readonly Expression[], wanted: readonly Expression[]): boolean {
  const there = withoutCounters(actual);
  return withoutCounters(wanted).every((expression, index) => {
    const candidate = there[index];
    return candidate !== undefined && holds(candidate, expression);
  });
}

/**
 * Whether a rule drops or rejects whatever comes to it: nft's own, and what iptables-nft makes. Pure.
 */
export function refusesAlways(expressions: readonly Expression[]): boolean {
  // iptables-nft has its comments as expressions, nft(8) beside them.
  const [only, ...others] = withoutCounters(expressions).filter(
    (expression) => !isNamed(expression, "match", "comment"),
  );
  if (only === undefined || others.length > 0) return false;
  const isDrop = listOf(drop()).every((wanted) => holds(only, wanted));
  return isDrop || isNamed(only, "reject") || isNamed(only, "target", "REJECT");
}

function withoutCounters(expressions: readonly Expression[]): Expression[] {
  return expressions.filter((expression) => !isNamed(expression, "counter"));
}

/** @param extension Name of the iptables match or target that the expression stands for. */
function isNamed(expression: Expression, name: string, extension?: string): boolean {
  const has = (bytes: Uint8Array, type: number, text: string) =>
    entries(bytes).some((entry) => entry.type === type && equal(entry.payload, cString(text)));
  const data = entries(expression).find(({ type }) => type === EXPR_DATA);
  if (!has(expression, EXPR_NAME, name)) return false;
  return extension === undefined || (data !== undefined && has(data.payload, EXTENSION_NAME, extension));
}

/** Whether all that we send is there. The kernel adds what we leave to it, such as flags. */
function holds(actual: Uint8Array, wanted: Uint8Array): boolean {
  const there = entries(actual);
  return entries(wanted).every(({ type, isNest, payload }) =>
    there.some((entry) => entry.type === type && (isNest ? holds : equal)(entry.payload, payload)),
  );
}

function equal(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

const EXPR_NAME = 1;
const EXPR_DATA = 2;
/** NFTA_MATCH_NAME and NFTA_TARGET_NAME (linux/netfilter/nf_tables_compat.h). */
const EXTENSION_NAME = 1;
