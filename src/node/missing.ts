import type { WireguardConfig } from "../config/wireguard.ts";
import { listAddresses } from "../netlink/addresses.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { missingOfTable } from "../nftables/missing.ts";
import { lockDirectory } from "../os/lock.ts";
import type { Secret } from "../secret.ts";
import type { DataPlane, DeviceChange, PeerChange } from "../wireguard/device.ts";
import { diff } from "../wireguard/diff.ts";
import { randomPublicKey } from "../wireguard/keys.ts";
import { openDevice } from "../wireguard/open.ts";
import { routeDifference } from "./differences.ts";
import { linkOf, type Observed, observeNode, ownRules, sameRule } from "./observe.ts";
import { meshRefusals, meshRoutes, meshRules, recordedTable } from "./plan.ts";
import { DEVICE_LOCK_WAIT, deviceDirectory, readDeviceRecord } from "./record.ts";
import { deviceSettings, namesToResolve } from "./settings.ts";
import { meshMtu } from "./underlay.ts";

/** What CHECK found on the node. */
export interface FoundOnNode {
  /** Absent: there is no device at all. */
  readonly dataPlane?: DataPlane;
  /** What is not as the configuration has it, in words. */
  readonly missing: readonly string[];
  /** Host names of endpoints of peers that nothing is heard of: they may have another address by now, or at last one. */
  readonly names: readonly string[];
}

/** Compares the node's device, and all around it, with the configuration. Changes nothing. @throws NetlinkError, Fault. */
export async function missingOnNode(nl: Netlink, config: WireguardConfig, privateKey: Secret): Promise<FoundOnNode> {
  const name = config.interface;
  // Not between two steps of an ADD, which brings the device to another configuration.
  using _lock = await lockDirectory(deviceDirectory(name), { create: false, shared: true, wait: DEVICE_LOCK_WAIT });
  const record = readDeviceRecord(name);
  using device = await openDevice({ name, directory: deviceDirectory(name) });
  const observed = await observeNode(nl);
  const link = linkOf(observed, name);
  if (record === undefined || device === undefined || link === undefined) return { missing: [], names: [] };
  const wanted = deviceSettings(config, privateKey, new Map());
  const state = await device.read();
  const change = diff(wanted, state, { now: Date.now(), dummy: randomPublicKey });
  const endpoints = wanted.peers.flatMap(({ endpoint }) => (endpoint === undefined ? [] : [endpoint.address]));
  const mtu = config.mtu ?? meshMtu(observed, endpoints, name);
  const addresses = await listAddresses(nl, link.index);
  const allowedIPs = config.peers.flatMap((peer) => peer.allowedIPs);
  const routes = [...meshRefusals(record), ...meshRoutes(allowedIPs, link.index, config.table)];
  const table = recordedTable(record);
  return {
    dataPlane: device.dataPlane,
    names: namesToResolve(config.peers, state, Date.now()),
    missing: [
      ...(link.up ? [] : [`${name} is down`]),
      ...(link.mtu === mtu ? [] : [`the MTU of ${name} is ${link.mtu} instead of ${mtu}`]),
      ...describeChange(change, name),
      ...config.addresses
        .filter(
          (entry) => !addresses.some((one) => one.address === entry.address && one.prefixLength === entry.prefixLength),
        )
        .map(({ address, prefixLength }) => `missing: ${address}/${prefixLength} on ${name}`),
      ...routeDifference(routes, observed.routes).add.map(
        ({ type, dst, table: where }) => `missing: ${type} route to ${dst} in table ${where}`,
      ),
      ...missingRules(observed, record),
      ...(await missingOfTable(table)).map((what) => `missing: ${what}`),
    ],
  };
}

function missingRules(
  observed: Observed,
  record: Parameters<typeof meshRules>[0] & { readonly interface: string },
): string[] {
  const existing = ownRules(observed, record.interface);
  return meshRules(record)
    .filter((rule) => !existing.some((one) => sameRule(one, rule)))
    .map(({ family, table }) => `missing: routing rule to table ${table} (IPv${family})`);
}

/** What is wrong with a device, when this would have to be changed. Pure; names keys by their public half alone. */
export function describeChange(change: DeviceChange, name: string): string[] {
  return [
    ...(change.privateKey === undefined ? [] : [`the private key of ${name} is another than that of its file`]),
    ...(change.listenPort === undefined ? [] : [`${name} does not listen on port ${change.listenPort}`]),
    ...(change.fwmark === undefined ? [] : [`the fwmark of ${name} is not ${change.fwmark}`]),
    ...describeStrangers(change.peers),
    ...change.peers.filter((peer) => !isPassing(peer, change.peers)).flatMap(describePeer),
  ];
}

/** A peer that comes and goes in the same change only takes allowed IPs from others (src/wireguard/diff.ts). */
function isPassing({ publicKey }: PeerChange, peers: readonly PeerChange[]): boolean {
  const same = peers.filter((peer) => peer.publicKey === publicKey);
  return same.some((peer) => "remove" in peer) && same.some((peer) => "isNew" in peer && peer.isNew);
}

function describeStrangers(peers: readonly PeerChange[]): string[] {
  const taken = peers
    .filter((peer) => isPassing(peer, peers))
    .flatMap((peer) => ("remove" in peer ? [] : peer.addAllowedIPs));
  return taken.length === 0 ? [] : [`allowed IPs ${taken.join(", ")} are on the device, but not in the configuration`];
}

function describePeer(change: PeerChange): string[] {
  if ("remove" in change) return [`peer ${change.publicKey} is on the device, but not in the configuration`];
  if (change.isNew) return [`missing: peer ${change.publicKey}`];
  return [
    ...(change.addAllowedIPs.length === 0
      ? []
      : [`peer ${change.publicKey} does not have allowed IPs ${change.addAllowedIPs.join(", ")}`]),
    ...(change.presharedKey === undefined ? [] : [`peer ${change.publicKey} has another preshared key`]),
    ...(change.persistentKeepalive === undefined ? [] : [`peer ${change.publicKey} has another keepalive`]),
  ];
}
