import type { Endpoint } from "../../net/endpoint.ts";
import { getLink } from "../../netlink/links.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { AGENT_NETWORK, deviceDirectory, readDeviceRecord } from "../../node/record.ts";
import type { DataPlane, PeerState } from "../../wireguard/device.ts";
import { openDevice } from "../../wireguard/open.ts";
import type { DriverState, TunnelState } from "../driver.ts";
import { type SlotName, secondName, secondPort } from "./slots.ts";

/** A peer as one of the devices has it. */
export interface SlotEntry {
  readonly slot: SlotName;
  readonly entry: PeerState;
}

/** The tunnels of the driver's devices, as they are; undefined when there is no device. @throws Fault, NetlinkError. */
export async function observeTunnels(nl: Netlink, name: string): Promise<DriverState | undefined> {
  const record = readDeviceRecord(name);
  if (record?.network !== AGENT_NETWORK) return undefined;
  const link = await getLink(nl, name);
  const first = link && (await readEntries(name, "first"));
  if (link === undefined || first === undefined) return undefined;
  const second = record.otherDevices === undefined ? undefined : await readEntries(secondName(name), "second");
  const entries = [...first.entries, ...(second?.entries ?? [])];
  const named = Map.groupBy(entries, ({ entry }) => record.peerNames[entry.publicKey]);
  const tunnels = [...named].flatMap(([peer, ofPeer]) =>
    peer === undefined ? [] : [tunnelOf(peer, ofPeer, { device: name, mtu: link.mtu })],
  );
  return { dataPlane: first.dataPlane, tunnels };
}

/**
 * The tunnel to a peer: while keys change it has a session on each device. The one that came last is the one that is
 * told; its endpoint is that of the peer's first device. Pure.
 */
export function tunnelOf(
  name: string,
  entries: readonly SlotEntry[],
  { device, mtu }: { readonly device: string; readonly mtu: number },
): TunnelState {
  const latest = entries.toSorted((one, other) => handshakeOf(other) - handshakeOf(one))[0];
  const endpoint = endpointOf(entries);
  const established = latest?.entry.latestHandshake;
  const sum = (of: (entry: PeerState) => number) => entries.reduce((total, { entry }) => total + of(entry), 0);
  return {
    name,
    device: latest?.slot === "second" ? secondName(device) : device,
    ...(endpoint && { endpoint }),
    ...(established === undefined ? {} : { established }),
    receivedBytes: sum(({ receivedBytes }) => receivedBytes),
    sentBytes: sum(({ sentBytes }) => sentBytes),
    mtu,
  };
}

function handshakeOf({ entry }: SlotEntry): number {
  return entry.latestHandshake ?? 0;
}

function endpointOf(entries: readonly SlotEntry[]): Endpoint | undefined {
  const first = entries.find(({ slot, entry }) => slot === "first" && entry.endpoint !== undefined)?.entry.endpoint;
  if (first !== undefined) return first;
  const second = entries.find(({ entry }) => entry.endpoint !== undefined)?.entry.endpoint;
  return second && { address: second.address, port: second.port - secondPort(0) };
}

async function readEntries(
  name: string,
  slot: SlotName,
): Promise<{ readonly dataPlane: DataPlane; readonly entries: readonly SlotEntry[] } | undefined> {
  using device = await openDevice({ name, directory: deviceDirectory(name) });
  if (device === undefined) return undefined;
  const { peers } = await device.read();
  return { dataPlane: device.dataPlane, entries: peers.map((entry) => ({ slot, entry })) };
}
