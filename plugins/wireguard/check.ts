import { bridgeCheck } from "../../src/attachment/bridge.ts";
import { missingMasquerade } from "../../src/attachment/link.ts";
import { missingLinkAddresses } from "../../src/attachment/link-addresses.ts";
import {
  attachmentDirectory,
  isWireguard,
  LOCK_WAIT,
  readAttachment,
  type WireguardAttachment,
} from "../../src/attachment/record.ts";
import type { CheckCall } from "../../src/cni/dispatch.ts";
import type { WireguardConfig } from "../../src/config/wireguard.ts";
import { Code, Fault } from "../../src/fault.ts";
import type { Netlink } from "../../src/netlink/netlink.ts";
import { openRoute } from "../../src/netlink/open.ts";
import { ensureNodeDevice } from "../../src/node/ensure.ts";
import { missingOnNode } from "../../src/node/missing.ts";
import { deviceDirectory } from "../../src/node/record.ts";
import { lockDirectory } from "../../src/os/lock.ts";
import type { Log } from "../../src/os/log.ts";
import { inNetns, openNetns } from "../../src/os/namespace.ts";
import { trimDeviceLog } from "../../src/wireguard/wireguard-go.ts";
import { privateKeyOf } from "./key.ts";
import { missingPodRoutes } from "./pod-routes.ts";
import { podSubnets } from "./work.ts";

/**
 * CHECK: everything that ADD made is there, and as the configuration has it now: the device with its key, peers, MTU and
 * routes, the guard, the pod's routes and masquerading; then the bridge's own CHECK. A device that is gone (wireguard-go
 * was killed) is made again, and told all the same: until now the pod had no tunnel.
 * @throws Fault 108 that names what is missing, Fault 3 when this node knows nothing of the attachment.
 */
export async function check(call: CheckCall, config: WireguardConfig, log: Log): Promise<void> {
  const directory = attachmentDirectory(call);
  using netns = openNetns(call.netns);
  using lock = await lockDirectory(directory, { create: false, wait: LOCK_WAIT });
  const record = lock === undefined ? undefined : readAttachment(directory);
  if (lock === undefined || record?.phase !== "ready" || !isWireguard(record)) {
    throw new Fault(
      Code.unknownContainer,
      `no attachment of ${call.ifname} for container ${call.containerID} on this node`,
      AGAIN,
    );
  }
  using pod = inNetns(netns, openRoute);
  using node = openRoute();
  const ofPod = [
    ...missingInResult(call, record),
    ...missingLinkAddresses(record, call.prevResult),
    ...(await missingPodRoutes(pod, record.ifname, record.podRoutes)),
    ...(await missingMasquerade(record)),
  ];
  const missing = ofPod.map((what) => `missing: ${what}`);
  if (config.agent) {
    const { missingOfAgents } = await import("./agent.ts");
    missing.push(...(await missingOfAgents(node)));
  } else if (record.own === undefined) missing.push(...(await checkNode(call, config, directory, node, log)));
  else {
    log.write("info", `data plane of ${record.interface}: ${record.own.dataPlane}`);
    const shared = { node, pod, lockFd: lock.fd };
    const { missingOfOwnDevice } = await import("./own-device.ts");
    missing.push(...(await missingOfOwnDevice({ ...shared, config, directory, record, netns, own: record.own })));
  }
  if (missing.length > 0) {
    throw new Fault(Code.checkFailed, missing.join("; "), remedyOf(config, record));
  }
  if (!config.agent) trimDeviceLog(record.own === undefined ? deviceDirectory(record.interface) : directory);
  if (record.delegate === undefined || record.linkResult === undefined) return;
  const { containerID, ifname } = call;
  const bridge = { call, containerID, ifname, config: record.delegate, netns: call.netns, args: record.args };
  await bridgeCheck({ ...bridge, lockFd: lock.fd }, record.linkResult);
}

const AGAIN = "delete the pod, so that it is added again";

function remedyOf({ agent }: WireguardConfig, { own }: WireguardAttachment): string {
  if (agent) return `see that podvpn agent runs (\`systemctl status podvpn\`): it mends the node; or ${AGAIN}`;
  return own === undefined ? `${AGAIN}: the ADD of any pod of this network mends the node` : AGAIN;
}

/** @throws Fault 108 when the device was gone; it is there again then. */
async function checkNode(
  call: CheckCall,
  config: WireguardConfig,
  directory: string,
  node: Netlink,
  log: Log,
): Promise<readonly string[]> {
  const privateKey = await privateKeyOf(config, directory);
  const found = await missingOnNode(node, config, privateKey);
  const request = {
    config,
    network: call.config.name,
    privateKey,
    podSubnets: podSubnets(call),
    attachment: directory,
  };
  const ensure = () => ensureNodeDevice(node, request);
  if (found.dataPlane !== undefined) {
    log.write("info", `data plane of ${config.interface}: ${found.dataPlane}`);
    // With nothing missing, the endpoints by name are all that there is to be written.
    if (found.missing.length === 0 && found.names.length > 0) await ensure();
    return found.missing;
  }
  const { dataPlane } = await ensure();
  const what =
    dataPlane === "userspace"
      ? `the wireguard-go of ${config.interface} did not run, or did not answer`
      : `the device ${config.interface} was gone`;
  throw new Fault(
    Code.checkFailed,
    `${what}: pods of this network had no tunnel`,
    "nothing is left to do: it has been made again with all its peers",
  );
}

/** Later plugins of a chain may have added to the result; what is ours must still be in it. */
function missingInResult(call: CheckCall, { podRoutes }: WireguardAttachment): string[] {
  const present = new Set(call.prevResult.routes.map(({ dst }) => dst));
  return podRoutes.filter(({ dst }) => !present.has(dst)).map(({ dst }) => `route to ${dst} in prevResult`);
}
