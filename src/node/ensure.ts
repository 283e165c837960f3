import type { WireguardConfig } from "../config/wireguard.ts";
import { Code, Fault } from "../fault.ts";
import type { Address } from "../net/address.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { listRoutes } from "../netlink/routes.ts";
import { ensureNoRule, ensureRule, type Rule } from "../netlink/rules.ts";
import { ensureTableAs } from "../nftables/apply.ts";
import { missingOfTable } from "../nftables/missing.ts";
import { type Lock, lockDirectory } from "../os/lock.ts";
import { trace } from "../os/trace.ts";
import { together } from "../together.ts";
import type { DataPlane, Device, DeviceSettings, DeviceState } from "../wireguard/device.ts";
import { diff, isEmpty } from "../wireguard/diff.ts";
import { randomPublicKey } from "../wireguard/keys.ts";
import { ensureDevice, openDevice } from "../wireguard/open.ts";
import { applyRouteDifference, routeDifference } from "./differences.ts";
import { requireFitting } from "./fitting.ts";
import { listGuards } from "./guards.ts";
import { nextRecord, sameGuard } from "./next-record.ts";
import { foreignRoutes, type Observed, observeNode, ownRoutes, ownRules, sameRule } from "./observe.ts";
import { meshRefusals, meshRoutes, meshRules, PROTOCOL_MESH, recordedTable } from "./plan.ts";
import { DEVICE_LOCK_WAIT, type DeviceRecord, deviceDirectory, readDeviceRecord, writeDeviceRecord } from "./record.ts";
import type { EnsureRequest } from "./request.ts";
import { deviceSettings, namesToResolve, resolvePeers } from "./settings.ts";
import { isOfOthers, requireNotAgents, requireSame } from "./sharing.ts";
import { fittingMtu, insideOf, meshMtu } from "./underlay.ts";
import { setUpDevice } from "./up.ts";

/** A device of the node that is as it shall be. */
export interface NodeDevice {
  readonly dataPlane: DataPlane;
  /** In bytes. */
  readonly mtu: number;
  /** See {@link DeviceRecord.complete}. */
  readonly complete: boolean;
  /** Host names of endpoints that have no address now; their peers wait for the next ADD or CHECK. */
  readonly unresolved: readonly string[];
}

/**
 * Makes the node's WireGuard device with all around it, or brings what is there up to the configuration: reads,
 * compares, and writes the difference. The guard comes first, the routes after the device has its peers. What fails
 * leaves what it has made: the guard has to be there as long as the pod has a link, and `releaseNodeDevice` takes it.
 * @throws Fault 7 for a configuration that does not fit this node, Fault 11 when another call holds the device for too
 * long, and those of the parts.
 */
export async function ensureNodeDevice(nl: Netlink, request: EnsureRequest): Promise<NodeDevice> {
  const { config } = request;
  const name = config.interface;
  using lock = await lockDirectory(deviceDirectory(name), { create: true, wait: DEVICE_LOCK_WAIT });
  if (lock === undefined) throw new Fault(Code.internal, `${deviceDirectory(name)} was not made`, "report this");
  const previous = readDeviceRecord(name);
  requireNotAgents(request, previous);
  request.onHeld?.();
  return await ensureLocked(nl, request, lock, previous); // the lock is held until then
}

async function ensureLocked(
  nl: Netlink,
  request: EnsureRequest,
  lock: Lock,
  previous: DeviceRecord | undefined,
): Promise<NodeDevice> {
  const { config, privateKey } = request;
  const name = config.interface;
  const shared = previous !== undefined && isOfOthers(request, previous);
  const next = nextRecord(request, previous);
  const guarded = await isGuarded(nl, next, previous);
  if (guarded) request.onGuarded?.(); // the usual case: the pod's link need not wait for all that follows
  const observed = await observeNode(nl);
  const directory = deviceDirectory(name);
  using there = guarded ? await openDevice({ name, directory }) : undefined;
  const known = await there?.read();
  await requireFittingNode(request, observed, known);
  const mtu = fittingMtu(config.mtu ?? meshMtu(observed, endpointsOf(config), name), insideOf(config));
  if (shared) await requireSame(request, next, previous);
  const record = shared ? { ...previous, podSubnets: next.podSubnets } : next;
  if (JSON.stringify(record) !== JSON.stringify(previous)) writeDeviceRecord(record);
  trace("node read");
  // The guard before the device, and before the routes that lead to it.
  const existing = ownRoutes(observed, name);
  const through = existing.filter(({ type }) => type === "unicast");
  if (!guarded) {
    await ensureTableAs(recordedTable(record));
    await applyRouteDifference(nl, routeDifference([...meshRefusals(record), ...through], existing));
    request.onGuarded?.();
    trace("guard of the node set");
  }

  const { dataplane } = config;
  const { device, made } = await ensureDevice({
    name,
    directory,
    dataplane,
    lockFd: lock.fd,
    ...(guarded && { there }),
  });
  using _device = device;
  trace("device there");
  if (device.dataPlane !== record.dataPlane) writeDeviceRecord({ ...record, dataPlane: device.dataPlane });
  const state = device === there && known !== undefined ? known : await device.read();
  await applyDifference(device, state, deviceSettings(config, privateKey, new Map()));
  const index = await setUpDevice(nl, config, mtu);
  trace("device has its peers and is up");
  const allowedIPs = config.peers.flatMap((peer) => peer.allowedIPs);
  // Those of a device that was made just now have gone with the one before.
  await applyRouteDifference(nl, routeDifference(meshRoutes(allowedIPs, index, config.table), made ? [] : through));
  await applyRules(nl, meshRules(record), ownRules(observed, name));
  trace("routes of the mesh set");

  const names = namesToResolve(config.peers, state, Date.now());
  if (names.length === 0) return { dataPlane: device.dataPlane, mtu, complete: record.complete, unresolved: [] };
  const resolved = await resolvePeers(names, config.meshPrefixes);
  await applyDifference(device, await device.read(), deviceSettings(config, privateKey, resolved));
  return {
    dataPlane: device.dataPlane,
    mtu,
    complete: record.complete,
    unresolved: names.filter((host) => !resolved.has(host)),
  };
}

/** Whether the guard is there already, whole, as an earlier call has made it for the very same prefixes. */
async function isGuarded(nl: Netlink, record: DeviceRecord, previous: DeviceRecord | undefined): Promise<boolean> {
  if (previous === undefined || !sameGuard(record, previous)) return false;
  const ours = { protocol: PROTOCOL_MESH, type: "unreachable" } as const;
  const [broken, routes] = await together(missingOfTable(recordedTable(record)), listRoutes(nl, ours));
  return broken.length === 0 && routeDifference(meshRefusals(record), routes).add.length === 0;
}

/** @throws Fault 7 for peers and prefixes that collide with what this node is and has. */
function requireFittingNode(
  { config, privateKey }: EnsureRequest,
  observed: Observed,
  device: DeviceState | undefined,
): Promise<void> {
  const facts = {
    subnets: observed.subnets.filter(({ dev }) => dev !== config.interface),
    meshes: meshesOfOthers(config.interface),
    // A table of the mesh's own is asked before the main one.
    routes: config.table === undefined ? foreignRoutes(observed, config.interface) : [],
  };
  return requireFitting(config, privateKey, facts, device);
}

/** What the other devices of the node refuse to everybody else. */
function meshesOfOthers(device: string) {
  return listGuards()
    .filter((record) => record.interface !== device)
    .flatMap(({ interface: dev, network, guarded }) => guarded.map((prefix) => ({ dev, network, prefix })));
}

async function applyDifference(device: Device, state: DeviceState, wanted: DeviceSettings): Promise<void> {
  const change = diff(wanted, state, options());
  if (!isEmpty(change)) await device.apply(change);
}

function options() {
  return { now: Date.now(), dummy: randomPublicKey };
}

async function applyRules(nl: Netlink, wanted: readonly Rule[], existing: readonly Rule[]): Promise<void> {
  for (const rule of wanted) if (!existing.some((one) => sameRule(one, rule))) await ensureRule(nl, rule);
  for (const rule of existing) if (!wanted.some((one) => sameRule(one, rule))) await ensureNoRule(nl, rule);
}

function endpointsOf({ peers }: WireguardConfig): Address[] {
  return peers.flatMap(({ endpoint }) => (endpoint !== undefined && "address" in endpoint ? [endpoint.address] : []));
}
