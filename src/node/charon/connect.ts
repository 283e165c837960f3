import type { Vici } from "vici";
import type { StrongswanAttachment } from "../../attachment/record.ts";
import type { PodConnection } from "../../ipsec/connection.ts";
import { connectPod, loadPskOf, type PodTunnel } from "../../ipsec/pod-tunnel.ts";
import type { Secret } from "../../secret.ts";
import { type SharedAttachment, tunnelName } from "./directory.ts";
import { charonLost } from "./lost.ts";
import { withSlot } from "./slots.ts";

/** How a pod's tunnel is asked for. */
export interface ConnectOptions {
  readonly psk: Secret;
  /** Milliseconds for all hubs together. */
  readonly timeout: number;
  /** See {@link PodConnection.again}. */
  readonly again: boolean;
}

/** Asks the hubs for the tunnel of a pod, as the record has it. @throws Fault, as {@link connectPod}; Fault 11. */
export async function connectShared(
  vici: Vici,
  record: SharedAttachment,
  { psk, timeout, again }: ConnectOptions,
): Promise<PodTunnel> {
  const name = tunnelName(record);
  try {
    await loadPskOf(vici, name, record.identity, psk);
  } catch (error) {
    throw charonLost("while it was given a key", error);
  }
  const request = { ...connectionOf(record, again), servers: record.shared.servers, psk, name };
  return await withSlot(() => connectPod(vici, request, timeout));
}

/** The connection of a pod but for the hub, from its record. Pure. */
export function connectionOf(record: SharedAttachment, again: boolean): Omit<PodConnection, "server"> {
  const { ifId, serverID, proposals, espProposals, dpdDelay } = record.shared;
  return {
    identity: record.identity,
    virtualSubnets: record.virtualSubnets,
    proposals,
    espProposals,
    dpdDelay,
    // Raw ESP: where there is a NAT, charon sees it and encapsulates by itself.
    encap: false,
    ifId,
    again,
    ...(serverID === undefined ? {} : { serverID }),
  };
}

/** Whether the pod has had a tunnel: the others are being added, and their ADD makes it. Pure. */
export function hasHadTunnel({ virtualIPs }: StrongswanAttachment): boolean {
  return virtualIPs.length > 0;
}
