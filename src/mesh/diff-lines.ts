import type { ChangedPeer, ListDifference, PeerField, PlanDifference } from "./diff.ts";
import { listDifference } from "./diff.ts";
import type { PlannedPeer, Unreachable } from "./mesh-plan.ts";

/**
 * A difference for the log: a line for each change, none where nothing changed. Nodes that cannot be reached for one and
 * the same reason share a line. Pure.
 */
export function differenceLines({
  added,
  removed,
  changed,
  unreachable,
  podPrefixes,
  forwards,
}: PlanDifference): string[] {
  return [
    ...lineOf("own pod prefixes", deltaText(podPrefixes)),
    ...(forwards ? ["forwards between sites: changed"] : []),
    ...added.map((peer) => `peer ${peer.name} added: ${peer.driver}, ${listText(peer.prefixes)}`),
    ...changed.map((change) => `peer ${change.after.name} changed: ${change.fields.map(fieldText(change)).join(", ")}`),
    ...removed.map(({ name }) => `peer ${name} removed`),
    ...unreachableLines(unreachable),
  ];
}

/** Of a list the first ones, and how many more there are. */
const SHOWN = 3;

function listText(items: readonly string[]): string {
  if (items.length === 0) return "no prefixes";
  const rest = items.length - SHOWN;
  return [...items.slice(0, SHOWN), ...(rest > 0 ? [`and ${rest} more`] : [])].join(" ");
}

function fieldText({ before, after }: ChangedPeer): (field: PeerField) => string {
  return (field) => {
    switch (field) {
      case "prefixes":
      case "localPrefixes":
      case "probes":
        return `${field} ${deltaText(listDifference<string>(before[field], after[field])) || "in another order"}`;
      case "candidates":
        return `candidates ${hostsText(before)} to ${hostsText(after)}`;
      case "wireguard":
      case "ipsec":
        return field; // keys say nothing to a reader
      default:
        return `${field} ${before[field] ?? "none"} to ${after[field] ?? "none"}`;
    }
  };
}

function hostsText({ candidates }: PlannedPeer): string {
  return candidates.length === 0 ? "none" : candidates.map(({ host }) => host).join(" ");
}

function deltaText({ added, removed }: ListDifference<string>): string {
  const signed = [...removed.map((item) => `-${item}`), ...added.map((item) => `+${item}`)];
  return signed.length === 0 ? "" : listText(signed);
}

function lineOf(what: string, delta: string): string[] {
  return delta === "" ? [] : [`${what} ${delta}`];
}

function unreachableLines({ added, removed }: ListDifference<Unreachable>): string[] {
  const byReason = Map.groupBy(added, ({ reason }) => reason);
  return [
    ...[...byReason].map(([reason, nodes]) => `cannot reach ${listText(nodes.map(({ name }) => name))}: ${reason}`),
    ...(removed.length === 0 ? [] : [`no longer unreachable: ${listText(removed.map(({ name }) => name))}`]),
  ];
}
