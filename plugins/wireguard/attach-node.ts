import { podAddresses } from "../../src/attachment/addresses.ts";
import { ensureBridge } from "../../src/attachment/bridge.ts";
import { makeLink } from "../../src/attachment/link.ts";
import { writeAttachment } from "../../src/attachment/record.ts";
import type { Result } from "../../src/cni/result.ts";
import { Code, Fault } from "../../src/fault.ts";
import { overlaps } from "../../src/net/prefix.ts";
import { getLink } from "../../src/netlink/links.ts";
import { lookupRoute } from "../../src/netlink/routes.ts";
import { ensureNodeDevice, type NodeDevice } from "../../src/node/ensure.ts";
import { openNode } from "../../src/node/forwarding.ts";
import { completeDeviceRecord } from "../../src/node/record.ts";
import { releaseNodeDevice } from "../../src/node/remove.ts";
import { trace } from "../../src/os/trace.ts";
import { together } from "../../src/together.ts";
import { privateKeyOf } from "./key.ts";
import { addPodRoutes, planPodRoutes, removePodRoutes, withRoutes } from "./pod-routes.ts";
import { linkCall, podSubnets, type Work } from "./work.ts";

/**
 * `attach: node`: the pod's link and the node's device side by side, then the pod's routes. No link is made before the
 * node refuses the mesh's prefixes outside of the device: a program in the pod may send as soon as there is one.
 */
export async function attach(work: Work): Promise<Result> {
  const { call, directory, config, pod, undo } = work;
  requireOutside(work);
  writeAttachment(directory, work.record);
  const { device, link } = await deviceAndLink(work);
  const podRoutes = planPodRoutes(link, call.ifname, config.meshPrefixes, device.mtu);
  const record = { ...work.record, linkResult: link, podRoutes };
  writeAttachment(directory, record);
  undo.defer(() => removePodRoutes(pod, call.ifname, podRoutes));
  await together(addPodRoutes(pod, call.ifname, podRoutes), openNodeFor(work, link));
  if (!device.complete) await completeDeviceRecord(config.interface);
  writeAttachment(directory, { ...record, phase: "ready" });
  trace("routes set");
  return withRoutes(link, podRoutes);
}

/** In a chain the addresses are another plugin's choice; else the configuration's own `ipam` was compared already. */
function requireOutside({ call, config }: Work): void {
  const { prevResult } = call.config;
  if (prevResult === undefined) return;
  for (const { subnet } of podAddresses(prevResult, call.ifname)) {
    const mesh = config.meshPrefixes.find((prefix) => overlaps(prefix, subnet));
    if (mesh === undefined) continue;
    throw new Fault(
      Code.invalidConfig,
      `prevResult.ips has an address in ${subnet}, which overlaps "${mesh}" of the peers' allowedIPs`,
      "give the pods of this node a subnet of their own, which no peer has",
    );
  }
}

/** Waits for both, also when one fails; the link waits for the node's guard. @throws what failed, the device first. */
async function deviceAndLink(work: Work): Promise<{ device: NodeDevice; link: Result }> {
  const { node, record, undo, call } = work;
  const guarded = Promise.withResolvers<void>();
  const device = ensureDevice(work, guarded.resolve);
  device.catch(guarded.reject);
  const link = guarded.promise.then(async () => {
    if (record.delegate !== undefined) await ensureBridge(node, record.delegate);
    return makeLink(linkCall(work), record, call.config.prevResult, undo);
  });
  await Promise.allSettled([device, link]);
  return { device: await device, link: await link };
}

async function ensureDevice(work: Work, onGuarded: () => void): Promise<NodeDevice> {
  const { config, call, node, directory, released, log } = work;
  const privateKey = await privateKeyOf(config, directory);
  const device = await ensureNodeDevice(node, {
    config,
    network: call.config.name,
    privateKey,
    podSubnets: podSubnets(call),
    attachment: directory,
    onHeld: () => released.defer(() => releaseNodeDevice(node, config.interface)),
    onGuarded,
  });
  log.write("info", `data plane of ${config.interface}: ${device.dataPlane}; MTU ${device.mtu}`);
  for (const host of device.unresolved) {
    log.write(
      "error",
      `the endpoint ${host} has no address now (outside of allowedIPs); its peer waits for the next ADD or CHECK`,
    );
  }
  return device;
}

/** Lets the node forward between the pod's interface on the node and the device. */
async function openNodeFor({ node, config, call, log }: Work, link: Result): Promise<void> {
  const addresses = podAddresses(link, call.ifname);
  const [first] = addresses;
  const route = first === undefined ? undefined : await lookupRoute(node, first.address);
  const podLink = route?.oif === undefined ? undefined : await getLink(node, route.oif);
  const subnets = addresses.map(({ subnet }) => subnet);
  const reports = await openNode(node, {
    device: config.interface,
    subnets,
    ...(podLink === undefined ? {} : { podInterface: podLink.name }),
  });
  for (const report of reports) log.write("error", report);
}
