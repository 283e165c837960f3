import { podAddresses } from "../attachment/addresses.ts";
import { guardOf } from "../attachment/guard.ts";
import {
  type Attachment,
  attachmentDirectory,
  isStrongswan,
  readAttachment,
  type StrongswanAttachment,
  type WireguardAttachment,
} from "../attachment/record.ts";
import { Code, Fault } from "../fault.ts";
import { missingOfGuard } from "../guard/apply.ts";
import { findCharon, openVici } from "../ipsec/charon.ts";
import { type PodTunnel, readTunnel, tunnelIn } from "../ipsec/pod-tunnel.ts";
import type { Address } from "../net/address.ts";
import { listAddresses } from "../netlink/addresses.ts";
import { getLink } from "../netlink/links.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { openRoute } from "../netlink/open.ts";
import { listRoutes, Table } from "../netlink/routes.ts";
import { tunnelName } from "../node/charon/directory.ts";
import { inNetns, type Netns, openNetnsIfPresent } from "../os/namespace.ts";
import { isBusy } from "./busy.ts";
import { problemOf } from "./devices.ts";
import type { NodeCharonView } from "./node-charon.ts";
import { within } from "./within.ts";

/** How an attachment is. */
export interface AttachmentView {
  readonly record: Attachment;
  /** "adding": its ADD is at work at this moment. */
  readonly state: "up" | "down" | "adding";
  /** By which other pods know it. */
  readonly addresses: readonly Address[];
  /** The hub that its tunnel goes to; absent without a tunnel, or of the `wireguard` plugin. */
  readonly server?: Address;
  /** What does not work, in words. Empty exactly when it is not down. */
  readonly problems: readonly string[];
}

/** Milliseconds for one attachment: one that hangs must not hide the others. */
const ANSWER = 3000;

/** What attachments share on the node, and was looked at already. */
export interface Surroundings {
  /** What is wrong with the WireGuard device that one uses. */
  readonly deviceProblems: (record: WireguardAttachment) => readonly string[];
  readonly charon: NodeCharonView | undefined;
}

/**
 * Looks at an attachment as it is now. What is wrong is told in `problems`: this throws for nothing that an attachment
 * may be like. Undefined when it has gone meanwhile.
 */
export async function viewAttachment(
  record: Attachment,
  surroundings: Surroundings,
): Promise<AttachmentView | undefined> {
  if (record.phase === "adding" && (await isBusy(attachmentDirectory(record)))) {
    return { record, state: "adding", addresses: [], problems: [] };
  }
  const settled = record.phase === "ready" ? record : reread(record); // it may have become ready just now
  if (settled === undefined) return undefined;
  const found = await look(settled, surroundings);
  // A DEL takes its parts away one by one, and the record at the end.
  if (found.problems.length > 0 && reread(settled) === undefined) return undefined;
  const state = found.problems.length === 0 ? "up" : "down";
  return { record: settled, state, addresses: addressesOf(settled), ...found };
}

interface Found {
  readonly problems: readonly string[];
  readonly server?: Address;
}

async function look(record: Attachment, { deviceProblems, charon }: Surroundings): Promise<Found> {
  try {
    if (record.phase !== "ready")
      return { problems: ["its ADD was broken off: a DEL, or another ADD, clears it away"] };
    using netns = openNetnsIfPresent(record.netns);
    if (netns === undefined) return { problems: ["its network namespace is gone: a DEL clears up"] };
    if (!isStrongswan(record)) return { problems: [...deviceProblems(record), ...(await missingInPod(record, netns))] };
    const [tunnel, missing] = await Promise.all([lookAtTunnel(record, charon), missingInPod(record, netns)]);
    return { ...tunnel, problems: [...tunnel.problems, ...missing] };
  } catch (error) {
    return { problems: [problemOf(error)] };
  }
}

async function lookAtTunnel(record: StrongswanAttachment, shared: NodeCharonView | undefined): Promise<Found> {
  const { virtualIPs } = record;
  try {
    if (record.shared !== undefined && shared?.sas === undefined) {
      return { problems: ["the node's charon does not look after it"] };
    }
    const tunnel = record.shared === undefined ? await readOwnTunnel(record) : sharedTunnelOf(record, shared);
    const { server, virtualIPs: given } = tunnel;
    if (given.join() === virtualIPs.join()) return { server, problems: [] };
    return { server, problems: [`the hub has given ${given.join(", ")} instead of ${virtualIPs.join(", ")}`] };
  } catch (error) {
    return { problems: [problemOf(error)] };
  }
}

/** @throws Fault of one that does not run or answer, or has no tunnel. */
async function readOwnTunnel(record: StrongswanAttachment): Promise<PodTunnel> {
  const directory = attachmentDirectory(record);
  using charon = findCharon(directory);
  if (charon === undefined) throw new Fault(Code.charon, "its charon does not run", "delete the pod");
  const reading = (async () => {
    await using vici = await openVici(directory, ANSWER);
    return await readTunnel(vici, record.virtualSubnets);
  })();
  return await within(ANSWER, "its charon", reading);
}

/** @throws Fault of one that has no tunnel. */
function sharedTunnelOf(record: StrongswanAttachment, charon: NodeCharonView | undefined): PodTunnel {
  return tunnelIn(charon?.sas ?? [], record.virtualSubnets, tunnelName(record));
}

async function missingInPod(record: Attachment, netns: Netns): Promise<string[]> {
  const guard = guardOf(record);
  using nl = inNetns(netns, openRoute);
  const [ofLink, ofGuard] = await Promise.all([
    missingOfLink(nl, record),
    guard === undefined ? [] : missingOfGuard(guard, netns),
  ]);
  return [...ofLink, ...ofGuard].map((what) => `missing in the pod: ${what}`);
}

/** Addresses and routes of ours on the pod's interface. */
async function missingOfLink(nl: Netlink, record: Attachment): Promise<string[]> {
  const link = await getLink(nl, record.ifname);
  if (link === undefined) return [`interface ${record.ifname}`];
  if (isStrongswan(record)) {
    const device = record.shared?.device;
    const gone = device !== undefined && (await getLink(nl, device)) === undefined;
    const present = new Set((await listAddresses(nl, link.index)).map(({ address }) => address));
    return [
      ...(gone ? [`XFRM interface ${device}`] : []),
      ...record.virtualIPs.filter((ip) => !present.has(ip)).map((ip) => `${ip} on ${record.ifname}`),
    ];
  }
  const routes = await listRoutes(nl, { table: Table.main });
  const present = new Set(routes.map(({ dst, gateway, oif }) => [dst, gateway, oif].join()));
  return record.podRoutes
    .filter(({ dst, gateway }) => !present.has([dst, gateway, link.index].join()))
    .map(({ dst, gateway }) => `route to ${dst} via ${gateway}`);
}

/** By which other pods know it: virtual IPs, addresses in the mesh, or what its link gave it. Pure. */
export function addressesOf(record: Attachment): Address[] {
  if (isStrongswan(record)) return [...record.virtualIPs];
  const own = record.own?.addresses ?? [];
  if (own.length > 0) return own.map(({ address }) => address);
  const { linkResult, ifname } = record;
  return linkResult === undefined ? [] : podAddresses(linkResult, ifname).map(({ address }) => address);
}

function reread(record: Attachment): Attachment | undefined {
  try {
    return readAttachment(attachmentDirectory(record));
  } catch {
    return record;
  }
}
