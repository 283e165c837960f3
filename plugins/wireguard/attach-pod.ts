import { podAddresses } from "../../src/attachment/addresses.ts";
import { ensureBridge } from "../../src/attachment/bridge.ts";
import { ownGuard } from "../../src/attachment/guard.ts";
import { makeLink } from "../../src/attachment/link.ts";
import { type OwnDevice, type WireguardAttachment, writeAttachment } from "../../src/attachment/record.ts";
import type { Result } from "../../src/cni/result.ts";
import { ipamSubnets } from "../../src/config/consistency.ts";
import { applyGuard, removeGuard } from "../../src/guard/apply.ts";
import { freeRulePriority } from "../../src/guard/tunnel-rule.ts";
import type { Address } from "../../src/net/address.ts";
import { hostPrefix } from "../../src/net/prefix.ts";
import { fittingMtu, insideOf, meshMtu, readUnderlay } from "../../src/node/underlay.ts";
import { trace } from "../../src/os/trace.ts";
import { together } from "../../src/together.ts";
import { chooseDevicePlane } from "../../src/wireguard/open.ts";
import { privateKeyOf } from "./key.ts";
import {
  hostName,
  makeOwnDevice,
  type OwnWork,
  removeOwnDevice,
  routeOwnDevice,
  unrouteOwnDevice,
} from "./own-device.ts";
import { linkCall, type Work } from "./work.ts";

/**
 * `attach: pod`: a WireGuard device for this pod alone, made on the node, so that its UDP socket has the underlay, and
 * then moved into the pod. The pod's guard comes before any link.
 */
export async function attach(work: Work): Promise<Result> {
  const { call, config, directory, netns, node, pod, undo } = work;
  const own = await planOwnDevice(work);
  let record: WireguardAttachment = { ...work.record, own };
  writeAttachment(directory, record);
  const guard = ownGuard(record, own);
  undo.defer(() => removeGuard(guard, netns));
  await applyGuard(guard, netns);
  trace("guard set");

  if (record.delegate !== undefined) await ensureBridge(node, record.delegate);
  const shared: OwnWork = { config, directory, netns, node, pod, lockFd: work.lock.fd, own, name: record.interface };
  undo.defer(() => removeOwnDevice(shared));
  const [link, unresolved] = await together(
    makeLink(linkCall(work), record, call.config.prevResult, undo),
    privateKeyOf(config, directory).then((privateKey) => makeOwnDevice(shared, privateKey)),
  );
  trace("link and device ready");
  for (const host of unresolved)
    work.log.write("error", `the endpoint ${host} has no address; its peer waits for CHECK`);
  record = { ...record, linkResult: link, own: { ...own, sources: sourcesOf(link, work) } };
  writeAttachment(directory, record);
  undo.defer(() => unrouteOwnDevice(pod, own));
  await routeOwnDevice(pod, record, record.own ?? own);
  writeAttachment(directory, { ...record, phase: "ready" });
  trace("routes set");
  return ownResult(link, work, record);
}

async function planOwnDevice({ call, config, node, pod }: Work): Promise<OwnDevice> {
  const [underlay, rulePriority, dataPlane] = await Promise.all([
    readUnderlay(node),
    freeRulePriority(pod),
    chooseDevicePlane(config.dataplane),
  ]);
  const { prevResult, raw } = call.config;
  const onLink =
    prevResult === undefined
      ? ipamSubnets(raw.ipam).map(({ prefix }) => prefix)
      : podAddresses(prevResult, call.ifname).map(({ subnet }) => subnet);
  const endpoints = config.peers.flatMap(({ endpoint }): Address[] =>
    endpoint !== undefined && "address" in endpoint ? [endpoint.address] : [],
  );
  return {
    madeAs: hostName(call),
    dataPlane,
    // The node's own addresses, too: its probes are answered by the way that they came.
    excluded: [...onLink, ...underlay.subnets.map(({ address }) => hostPrefix(address))],
    addresses: config.addresses,
    sources: [],
    rulePriority,
    mtu: fittingMtu(config.mtu ?? meshMtu(underlay, endpoints, ""), insideOf(config)),
  };
}

/** What the pod says it is, in a tunnel without addresses of its own: what it is on its link. */
function sourcesOf(link: Result, { call }: Work): Address[] {
  return podAddresses(link, call.ifname).map(({ address }) => address);
}

/** The link's result with the device behind it: its interfaces keep their indices, and its addresses come first. Pure. */
function ownResult(link: Result, { netns, config }: Work, { interface: name, own }: WireguardAttachment): Result {
  const mtu = own?.mtu ?? 0;
  return {
    ...link,
    interfaces: [...link.interfaces, { name, sandbox: netns.path, mtu }],
    ips: [
      ...link.ips,
      ...config.addresses.map(({ address, prefixLength }) => ({
        address: `${address}/${prefixLength}`,
        interface: link.interfaces.length,
      })),
    ],
    routes: [...link.routes, ...config.meshPrefixes.map((dst) => ({ dst: dst as string, mtu }))],
  };
}
