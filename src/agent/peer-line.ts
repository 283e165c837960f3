import { endpointText } from "../net/endpoint.ts";
import type { AgentJournal } from "./journal.ts";
import type { StateChange } from "./peer-book.ts";
import type { ProbeReport } from "./probe/track.ts";

/** What the log has of a peer whose state is another one now. Pure. */
export function peerLine({ view, from, to }: StateChange, report: ProbeReport | undefined): Parameters<AgentJournal> {
  const { peer, verdict, tunnel } = view;
  const fields = {
    peer: peer.name,
    was: from,
    driver: peer.driver,
    endpoint: tunnel?.endpoint && endpointText(tunnel.endpoint),
    reason: verdict.reason,
    rtt: to !== "down" && report?.roundTrip ? `${report.roundTrip.smoothed.toFixed(1)}ms` : undefined,
    loss: to === "degraded" && report?.loss ? `${Math.round(report.loss.roundTrip * 100)}%` : undefined,
  };
  return [to === "up" ? "info" : "error", `peer is ${to}`, fields];
}
