import type { AttachmentView } from "../../status/attachments.ts";
import { attachmentName } from "../../status/names.ts";
import { type Finding, findingsOf } from "../finding.ts";
import type { PathFacts } from "../gather/paths.ts";
import type { PodPing } from "../gather/pods.ts";
import { trafficOf } from "../verdict.ts";

const { ok, none, bad } = findingsOf("pods");

/** Real pods of this node: whether they are whole, and reach others. Pure. */
export function checkPods(
  attachments: readonly AttachmentView[],
  pings: readonly PodPing[],
  paths: readonly PathFacts[],
): Finding[] {
  if (attachments.length === 0) return [none("no pod of podvpn is attached to this node")];
  const down = attachments.flatMap(({ record, problems }) =>
    problems.map((problem) =>
      bad(`${attachmentName(record)}: ${problem}`, { remedy: "delete the pod: a new one is made" }),
    ),
  );
  const up = attachments.length - new Set(attachments.filter(({ state }) => state === "down")).size;
  const whole = up === 0 ? [] : [ok(`${up} of ${attachments.length} pods are whole`)];
  return [...whole, ...down, ...pings.map((ping) => ofPing(ping, paths))];
}

/** Whether a pod's ping tells of forwarding: only where the node's own one is answered, or it is answered itself. Pure. */
export function reaches(ping: PodPing): boolean {
  return ping.received > 0;
}

function ofPing(ping: PodPing, paths: readonly PathFacts[]): Finding {
  const { pod, target, sent, received, peer } = ping;
  const text = `from ${pod} to ${target} (${peer}): ${received} of ${sent} answered`;
  if (reaches(ping)) return ok(text);
  const path = paths.find((one) => one.device.name === ping.device && one.peer.name === peer);
  const nodes = path === undefined ? [] : trafficOf(path).answered;
  if (!nodes.some((answer) => answer.target === target)) return none(`${text}, as from the node itself`);
  return bad(`${text}, and all from the node itself: this node does not forward for it`, {
    remedy: "mend what is bad in forwarding, settings or source",
  });
}
