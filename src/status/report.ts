import { isStrongswan, isWireguard } from "../attachment/record.ts";
import { ageText } from "../hub/lease-table.ts";
import { agentConclusion, agentObject, agentText } from "./agent-report.ts";
import type { AttachmentView } from "./attachments.ts";
import { deviceIdentity, ownerText, planeText } from "./device-report.ts";
import type { DeviceView } from "./devices.ts";
import { peersAlive } from "./health.ts";
import { attachmentName, podName } from "./names.ts";
import type { NodeCharonView } from "./node-charon.ts";
import { type Paint, plain } from "./paint.ts";
import { isHealthy, type Status } from "./status.ts";
import { type Column, type Row, table } from "./table.ts";

/** The status for a terminal. Pure. @param now Milliseconds since 1970. @param width Columns to fit into. */
export function statusText(status: Status, now: number, width: number | undefined, paint: Paint = plain): string {
  const { agent, attachments, devices, charon, damage } = status;
  const parts = [
    ...(agent === undefined ? [] : [agentText(agent, now, width, paint)]),
    attachments.length === 0
      ? "no pod of podvpn is attached to this node\n"
      : table(
          ATTACHMENT_COLUMNS,
          attachments.map((view) => attachmentRow(view, now)),
          width,
          paint,
        ),
    ...(devices.length === 0
      ? []
      : [
          table(
            DEVICE_COLUMNS,
            devices.map((view) => deviceRow(view, now)),
            width,
            paint,
          ),
        ]),
    ...(charon === undefined ? [] : [charonText(charon)]),
    ...(damage.length === 0 ? [] : [damage.map((what) => `${what}\n`).join("")]),
  ];
  return `${parts.join("\n")}\n${paint(conclusion(status))}\n`;
}

/** The same for programs; `podvpn status --help` tells of the keys. Pure. */
export function statusJson(status: Status, now: number): string {
  const object = {
    healthy: isHealthy(status),
    ...(status.agent === undefined ? {} : { agent: agentObject(status.agent) }),
    attachments: status.attachments.map(attachmentObject),
    devices: status.devices.map((view) => ({
      ...deviceIdentity(view),
      peers: { total: view.peers.length, alive: peersAlive(view, now) },
      problems: view.problems,
      hints: view.hints ?? [],
    })),
    ...(status.charon === undefined ? {} : { charon: charonObject(status.charon) }),
    damage: status.damage,
  };
  return `${JSON.stringify(object, null, 2)}\n`;
}

const ATTACHMENT_COLUMNS: readonly Column[] = [
  { title: "POD", least: 16 },
  { title: "NETWORK", least: 8 },
  { title: "TYPE" },
  { title: "ADDRESS" },
  { title: "STATE", isState: true },
  { title: "AGE", right: true },
];

const DEVICE_COLUMNS: readonly Column[] = [
  { title: "DEVICE" },
  { title: "OF", least: 16 },
  { title: "NETWORK", least: 8 },
  { title: "PLANE" },
  { title: "PORT", right: true },
  { title: "PEERS", right: true },
  { title: "STATE", isState: true },
];

function attachmentRow({ record, state, addresses, problems }: AttachmentView, now: number): Row {
  const [first = "-", ...others] = addresses;
  const age = ageText(Math.max(0, Math.floor((now - record.addedAt) / 1000)));
  return {
    cells: [attachmentName(record), record.network, record.type, first, state, age],
    more: others.map((address) => ["", "", "", address]),
    notes: problems,
  };
}

function deviceRow(view: DeviceView, now: number): Row {
  const { interface: name, network, listenPort, peers, problems, hints = [] } = view;
  const alive = `${peersAlive(view, now)}/${peers.length}`;
  const port = listenPort === 0 ? "-" : String(listenPort);
  const state = problems.length === 0 ? "up" : "down";
  return {
    cells: [name, ownerText(view), network, planeText(view), port, alive, state],
    notes: [...problems, ...hints],
  };
}

function attachmentObject({ record, state, addresses, server, problems }: AttachmentView) {
  const { type, network, containerID, ifname, args, addedAt } = record;
  const pod = podName(args);
  return {
    type,
    network,
    containerID,
    ifname,
    ...(pod === undefined ? {} : { pod }),
    addresses,
    state,
    since: new Date(addedAt).toISOString(),
    ...(isWireguard(record) ? { interface: record.interface } : {}),
    ...(isStrongswan(record) && server !== undefined ? { server } : {}),
    problems,
  };
}

/** One line: what is to be known of its tunnels is told of each pod. */
function charonText({ pods, problems }: NodeCharonView): string {
  const what = problems.length === 0 ? "up" : problems.join("; ");
  return `charon of the node, for ${pods} pod${pods === 1 ? "" : "s"}: ${what}\n`;
}

function charonObject({ pods, problems }: NodeCharonView) {
  return { state: problems.length === 0 ? "up" : "down", pods, problems };
}

function conclusion(status: Status): string {
  if (isHealthy(status)) return "healthy";
  const { agent, attachments, devices, charon, damage } = status;
  const deaf = (charon?.problems.length ?? 0) > 0 ? ["the node's charon"] : [];
  const broken = (views: readonly { readonly problems: readonly string[] }[], what: string) => {
    const count = views.filter(({ problems }) => problems.length > 0).length;
    return count === 0 ? [] : [`${count} of ${views.length} ${what}${views.length === 1 ? "" : "s"}`];
  };
  const records = damage.length === 0 ? [] : [`${damage.length} damaged record${damage.length === 1 ? "" : "s"}`];
  const mesh = agent === undefined ? [] : agentConclusion(agent);
  const parts = [...mesh, ...broken(attachments, "pod"), ...broken(devices, "device"), ...deaf, ...records];
  return `NOT HEALTHY: ${parts.join(", ")}`;
}
