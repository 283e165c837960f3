import { ensureBridge } from "../../src/attachment/bridge.ts";
import { makeLink } from "../../src/attachment/link.ts";
import type { Result } from "../../src/cni/result.ts";
import { ensureNodeDevice, type NodeDevice } from "../../src/node/ensure.ts";
import { completeDeviceRecord } from "../../src/node/record.ts";
import { releaseNodeDevice } from "../../src/node/remove.ts";
import { privateKeyOf } from "./key.ts";
import { attachRouted } from "./routed.ts";
import { linkCall, podSubnets, type Work } from "./work.ts";

/**
 * `attach: node`: the pod's link and the node's device side by side, then the pod's routes. No link is made before the
 * node refuses the mesh's prefixes outside of the device: a program in the pod may send as soon as there is one.
 */
export async function attach(work: Work): Promise<Result> {
  return await attachRouted(work, async () => {
    const { device, link } = await deviceAndLink(work);
    const done = async () => {
      if (!device.complete) await completeDeviceRecord(work.config.interface);
    };
    return { link, mtu: device.mtu, done };
  });
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
