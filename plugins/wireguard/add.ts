import { bridgeConfig } from "../../src/attachment/bridge.ts";
import { requireFree } from "../../src/attachment/free.ts";
import { requireLink } from "../../src/attachment/link.ts";
import {
  attachmentDirectory,
  attachmentsOf,
  isStrongswan,
  isWireguard,
  LOCK_WAIT,
  type WireguardAttachment,
} from "../../src/attachment/record.ts";
import type { AddCall } from "../../src/cni/dispatch.ts";
import type { Result } from "../../src/cni/result.ts";
import type { WireguardConfig } from "../../src/config/wireguard.ts";
import { Code, Fault } from "../../src/fault.ts";
import { openRoute } from "../../src/netlink/open.ts";
import { removeTree } from "../../src/os/file.ts";
import { type Lock, lockDirectory } from "../../src/os/lock.ts";
import type { Log } from "../../src/os/log.ts";
import { inNetns, openNetns } from "../../src/os/namespace.ts";
import { trace } from "../../src/os/trace.ts";
import { removeAttachment } from "./remove.ts";
import type { Work } from "./work.ts";

/**
 * ADD: a pod on the bridge, routed through the node's WireGuard device or one of its own. What fails takes back all
 * that was made, in reverse.
 * @throws Fault; README's troubleshooting has the table.
 */
export async function add(call: AddCall, config: WireguardConfig, log: Log): Promise<Result> {
  const directory = attachmentDirectory(call);
  using netns = openNetns(call.netns);
  using lock = await lockDirectory(directory, { create: true, wait: LOCK_WAIT });
  if (lock === undefined) throw new Fault(Code.internal, `${directory} was not made`, "report this");
  trace("namespace open, lock held");
  using node = openRoute();
  using pod = inNetns(netns, openRoute);
  await requireFree(call, directory, isWireguard, (record) => clear(call, directory, record, lock));
  await using undo = new AsyncDisposableStack();
  const released = undo.use(new AsyncDisposableStack());
  undo.defer(() => removeTree(directory));
  await requireLink("wireguard", call.ifname, call.config.prevResult !== undefined, pod);
  requireOwnPrefixes(call, config);
  trace("ready to add");
  const record = firstRecord(call, config);
  const work: Work = { call, config, directory, netns, lock, node, pod, undo, released, record, log };
  const { attach } = await attachBy(config);
  const result = await attach(work);
  undo.move();
  return result;
}

function attachBy({ attach, agent }: WireguardConfig): Promise<{ attach: (work: Work) => Promise<Result> }> {
  if (agent) return import("./attach-agent.ts");
  return attach === "node" ? import("./attach-node.ts") : import("./attach-pod.ts");
}

/** Clears away what a killed ADD left, in the same, locked directory. */
function clear(call: AddCall, directory: string, record: WireguardAttachment, lock: Lock): Promise<void> {
  const { containerID, ifname, netns } = call;
  return removeAttachment({
    call,
    containerID,
    ifname,
    directory,
    record,
    netns,
    args: undefined,
    lockFd: lock.fd,
    keepDirectory: true,
  });
}

/**
 * Two tunnels of a container for one prefix would take its route and its guard from each other. Of two that overlap the
 * longer one wins, as among all routes. @throws Fault 7.
 */
function requireOwnPrefixes({ containerID, ifname }: AddCall, { meshPrefixes }: WireguardConfig): void {
  for (const other of attachmentsOf(containerID)) {
    if (other.ifname === ifname) continue;
    const taken = isStrongswan(other) ? other.virtualSubnets : other.meshPrefixes;
    const shared = meshPrefixes.find((prefix) => taken.includes(prefix));
    if (shared === undefined) continue;
    throw new Fault(
      Code.invalidConfig,
      `the peers' allowedIPs hold "${shared}", and so does the container's ${other.ifname} (network ${other.network})`,
      "give each network of a container prefixes of its own",
    );
  }
}

function firstRecord(call: AddCall, config: WireguardConfig): WireguardAttachment {
  const { prevResult, raw, name } = call.config;
  const chained = prevResult !== undefined;
  const args = call.env.CNI_ARGS;
  return {
    version: 1,
    type: "wireguard",
    phase: "adding",
    addedAt: Date.now(),
    containerID: call.containerID,
    ifname: call.ifname,
    network: name,
    netns: call.netns,
    ...(chained ? {} : { delegate: gatewayed(bridgeConfig(raw)) }),
    ...(args === undefined ? {} : { args }),
    masquerade: !chained && raw.ipMasq === true,
    interface: config.interface,
    meshPrefixes: config.meshPrefixes,
    podRoutes: [],
    removeWithLastPod: config.removeWithLastPod,
  };
}

/** The pod reaches its peers by the node: without an address of its own the bridge would be a dead end. */
function gatewayed(config: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return config.isGateway === undefined && config.isDefaultGateway !== true ? { ...config, isGateway: true } : config;
}
