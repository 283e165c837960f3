import { type Claim, claimsOf, type KeyClaim } from "./claims.ts";
import type { NodeRecord } from "./node-record.ts";
import type { Peace } from "./peace.ts";
import type { Refusal } from "./registry.ts";
import { type Claimant, type Contradiction, contradictions, Peaceful } from "./rivals.ts";

/** A node's record that may be refused. */
export interface Candidate {
  readonly record: NodeRecord;
  /** Where a field of it stands, for messages: `nodes/n1.yaml:7`. */
  readonly where: (field: string) => string;
}

/**
 * The nodes that can be together: where two contradict each other, one of them is refused. What a node had before, it
 * keeps: the one that takes it anew is refused. Where that does not tell, the one that took its prefixes earlier stays
 * (`since`), and at last the one whose name is smaller. A refused node that was there before stays as it was. Nobody is
 * refused who contradicts none that stays. Pure; the order of the candidates does not count.
 * @param candidates One for each name.
 * @param before What was accepted last of each of these nodes, without contradictions; names that are no candidate's do
 * not count.
 * @param peace Of whoever asks again and again: finds sooner that there is no contradiction.
 */
export function withoutContradictions(
  candidates: readonly Candidate[],
  before: ReadonlyMap<string, NodeRecord>,
  peace?: Peace,
): { readonly nodes: readonly NodeRecord[]; readonly refusals: readonly Refusal[] } {
  const wanted = [...candidates].sort((one, other) => compareNames(one.record.name, other.record.name));
  const records = wanted.map(({ record }) => record);
  if (peace?.holds(records)) return { nodes: records, refusals: [] };
  const chosen = new Map(records.map((record) => [record.name, record]));
  while (giveWay(chosen, before)) {
    // What took its place may contradict another one.
  }
  const refused = wanted.filter(({ record }) => chosen.get(record.name) !== record);
  if (refused.length === 0) return { nodes: [...chosen.values()], refusals: [] };
  const peaceful = new Peaceful(chosen.values());
  // Who gave way to one that gave way itself.
  const stillRefused = settled(refused, (candidate) => readmit(candidate.record, chosen, peaceful));
  const refusals = stillRefused.flatMap(({ record, where }) => {
    const contradiction = peaceful.rival(record);
    return contradiction === undefined ? [] : [refusal(record, where, contradiction, chosen.has(record.name))];
  });
  const nodes = wanted.flatMap(({ record }) => chosen.get(record.name) ?? []);
  return { nodes, refusals };
}

/** By code units, as everywhere: no two machines sort by different languages. */
export function compareNames(one: string, other: string): number {
  return one === other ? 0 : one < other ? -1 : 1;
}

/** Lets the loser of each contradiction become what it was before, or nothing. @returns Whether there was any. */
function giveWay(chosen: Map<string, NodeRecord>, before: ReadonlyMap<string, NodeRecord>): boolean {
  const found = contradictions([...chosen.values()]);
  for (const { one, other } of found) {
    const isOver = [one, other].some(({ record }) => chosen.get(record.name) !== record);
    if (isOver) continue; // one of the two gave way already
    const { record } = loser(one, other, before);
    const earlier = before.get(record.name);
    if (earlier === undefined || earlier === record) chosen.delete(record.name);
    else chosen.set(record.name, earlier);
  }
  return found.length > 0;
}

function loser(one: Claimant, other: Claimant, before: ReadonlyMap<string, NodeRecord>): Claimant {
  const [oneHad, otherHad] = [had(one, before), had(other, before)];
  if (oneHad !== otherHad) return oneHad ? other : one;
  return precedes(one.record, other.record) ? other : one;
}

/** Whether of two nodes that claim the same, and of which neither had it, the first one is to have it. Pure. */
export function precedes(one: NodeRecord, other: NodeRecord): boolean {
  const [since, otherSince] = [one.since ?? 0, other.since ?? 0];
  return since === otherSince ? compareNames(one.name, other.name) < 0 : since < otherSince;
}

/** Whether the node had what it claims before. */
function had({ record, claim }: Claimant, before: ReadonlyMap<string, NodeRecord>): boolean {
  const earlier = before.get(record.name);
  if (earlier === undefined) return false;
  if (earlier === record) return true;
  const claims = claimsOf(earlier);
  if (isKey(claim)) return claims.keys.some(({ key }) => key === claim.key);
  return claims.ranges.some(({ first, last }) => first <= claim.first && claim.last <= last);
}

function isKey(claim: Claim): claim is KeyClaim {
  return "key" in claim;
}

/** Does it to each until nothing changes any more. @param act Whether something was done to it. @returns Who is left. */
function settled<T>(all: readonly T[], act: (one: T) => boolean): readonly T[] {
  const left = all.filter((one) => !act(one));
  return left.length === all.length || left.length === 0 ? left : settled(left, act);
}

function readmit(record: NodeRecord, chosen: Map<string, NodeRecord>, peaceful: Peaceful): boolean {
  if (peaceful.rival(record) !== undefined) return false;
  const earlier = chosen.get(record.name);
  if (earlier !== undefined) peaceful.remove(earlier);
  peaceful.add(record);
  chosen.set(record.name, record);
  return true;
}

function refusal(record: NodeRecord, where: Candidate["where"], { one, other }: Contradiction, kept: boolean): Refusal {
  const { field, text, remedy } = other.claim;
  const what = `${field} is ${text === "" ? "" : `${text}, which `}${clash(one, other.claim)}`;
  return { where: where(field), name: record.name, what, remedy, kept, record };
}

function clash({ claim, record: { name } }: Claimant, other: Claim): string {
  if (other.text === "") return `the same as that of node ${name}`;
  return claim.text === other.text || isKey(claim)
    ? `node ${name} has as well`
    : `overlaps ${claim.text} of node ${name}`;
}
