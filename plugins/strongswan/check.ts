import { ViciError } from "vici";
import { bridgeCheck } from "../../src/attachment/bridge.ts";
import { podGuard } from "../../src/attachment/guard.ts";
import { missingMasquerade } from "../../src/attachment/link.ts";
import { missingLinkAddresses } from "../../src/attachment/link-addresses.ts";
import { nodeRoutes } from "../../src/attachment/node.ts";
import {
  attachmentDirectory,
  isStrongswan,
  LOCK_WAIT,
  readAttachment,
  type StrongswanAttachment,
} from "../../src/attachment/record.ts";
import type { CheckCall } from "../../src/cni/dispatch.ts";
import { Code, Fault } from "../../src/fault.ts";
import { missingOfGuard } from "../../src/guard/apply.ts";
import { findCharon, logTail, openVici, trimLog } from "../../src/ipsec/charon.ts";
import { type PodTunnel, readTunnel } from "../../src/ipsec/pod-tunnel.ts";
import { lastUsable } from "../../src/net/prefix.ts";
import { listAddresses } from "../../src/netlink/addresses.ts";
import { getLink } from "../../src/netlink/links.ts";
import { openRoute } from "../../src/netlink/open.ts";
import { isRoute, listRoutes, lookupRoute } from "../../src/netlink/routes.ts";
import { lockDirectory } from "../../src/os/lock.ts";
import { inNetns, type Netns, openNetns } from "../../src/os/namespace.ts";
import { requireSameIPs } from "./virtual-ips.ts";

/** Milliseconds that charon gets to answer. */
const VICI_TIMEOUT = 2000;

/**
 * CHECK: everything that ADD made is there: charon, the established SA and its virtual IPs, these on the interface and
 * in prevResult, the guard, the node's routes and masquerading; then the bridge's own CHECK.
 * @throws Fault 108 that names what is missing, Fault 3 when this node knows nothing of the attachment.
 */
export async function check(call: CheckCall): Promise<void> {
  const directory = attachmentDirectory(call);
  using netns = openNetns(call.netns);
  using lock = await lockDirectory(directory, { create: false, wait: LOCK_WAIT });
  const record = lock === undefined ? undefined : readAttachment(directory);
  if (lock === undefined || record?.phase !== "ready" || !isStrongswan(record)) {
    throw new Fault(
      Code.unknownContainer,
      `no attachment of ${call.ifname} for container ${call.containerID} on this node`,
      "delete the pod, so that it is added again",
    );
  }
  if (record.shared === undefined) await checkTunnel(directory, record);
  else await (await import("./check-node.ts")).checkShared({ ...record, shared: record.shared });
  const missing = [
    ...missingInResult(call, record),
    ...missingLinkAddresses(record, call.prevResult),
    ...(await missingDevice(record, () => inNetns(netns, openRoute))),
    ...(await missingWay(record, () => inNetns(netns, openRoute))),
    ...(await missingAddresses(record, () => inNetns(netns, openRoute))),
    ...(await missingOfGuard(podGuard(record), netns)),
    ...(await missingInKernel(directory, record, netns)),
    ...(await missingOnNode(record)),
  ];
  if (missing.length > 0) throw failed(`missing: ${missing.join("; ")}`);
  if (record.shared === undefined) trimLog(directory);
  if (record.delegate === undefined || record.linkResult === undefined) return;
  await bridgeCheck(
    {
      call,
      containerID: call.containerID,
      ifname: call.ifname,
      config: record.delegate,
      netns: call.netns,
      args: record.args,
      lockFd: lock.fd,
    },
    record.linkResult,
  );
}

async function checkTunnel(directory: string, record: StrongswanAttachment): Promise<void> {
  using charon = findCharon(directory);
  if (charon === undefined) {
    throw new Fault(Code.checkFailed, "the pod's charon does not run", REMEDY, { details: logTail(directory) });
  }
  requireSameIPs(record, await tunnelOf(directory, record));
}

/** One that is stopped, or whose socket somebody has removed, serves nobody. */
async function tunnelOf(directory: string, { virtualSubnets }: StrongswanAttachment): Promise<PodTunnel> {
  try {
    await using vici = await openVici(directory, VICI_TIMEOUT);
    return await readTunnel(vici, virtualSubnets);
  } catch (cause) {
    if (!(cause instanceof ViciError)) throw cause;
    const details = logTail(directory);
    throw new Fault(Code.checkFailed, `the pod's charon does not answer (${cause.code})`, REMEDY, { cause, details });
  }
}

/** charon does not miss its device, its routes or its rule, when the pod has removed them. */
async function missingWay({ shared, virtualSubnets }: StrongswanAttachment, open: typeof openRoute): Promise<string[]> {
  if (shared !== undefined) return [];
  using pod = open();
  const ways = virtualSubnets.map(async (subnet) => ({ subnet, way: await lookupRoute(pod, lastUsable(subnet)) }));
  return (await Promise.all(ways)).flatMap(({ subnet, way }) =>
    way === undefined ? [`route to ${subnet} by the tunnel`] : [],
  );
}

/** Later plugins of a chain may have added to the result; what is ours must still be in it. */
function missingInResult(call: CheckCall, record: StrongswanAttachment): string[] {
  const present = call.prevResult.ips.map(({ address }) => address.split("/")[0]);
  return record.virtualIPs.filter((ip) => !present.includes(ip)).map((ip) => `${ip} in prevResult`);
}

async function missingDevice({ shared, ...record }: StrongswanAttachment, open: typeof openRoute): Promise<string[]> {
  if (shared === undefined) return [];
  const { missingOfDevice } = await import("./xfrm-device.ts");
  using pod = open();
  return await missingOfDevice(pod, { ...record, shared });
}

async function missingInKernel(directory: string, record: StrongswanAttachment, netns: Netns): Promise<string[]> {
  if (record.dataPlane !== "kernel") return [];
  return await (await import("./missing-esp.ts")).missingEsp(directory, record, netns);
}

async function missingAddresses(record: StrongswanAttachment, open: typeof openRoute): Promise<string[]> {
  using nl = open();
  const link = await getLink(nl, record.ifname);
  if (link === undefined) return [`interface ${record.ifname}`];
  const addresses = await listAddresses(nl, link.index);
  return record.virtualIPs
    .filter((ip) => !addresses.some(({ address }) => address === ip))
    .map((ip) => `${ip} on ${record.ifname}`);
}

async function missingOnNode(record: StrongswanAttachment): Promise<string[]> {
  using nl = openRoute();
  const existing = await listRoutes(nl, {});
  const needed = await nodeRoutes(nl, record);
  const routes = needed
    .filter((wanted) => !existing.some((route) => isRoute(route, wanted)))
    .map(({ dst, type }) => `${type} route to ${dst} on the node`);
  const gone = record.hostRoutes.length - needed.filter(({ type }) => type === "unicast").length;
  if (gone > 0) routes.push(`link ${record.hostRoutes.map(({ dev }) => dev).join(", ")} on the node`);
  return [...routes, ...(await missingMasquerade(record))];
}

const REMEDY = "delete the pod, so that it is added again";

function failed(what: string): Fault {
  return new Fault(Code.checkFailed, what, REMEDY);
}
