import { observeTunnels } from "../../agent/ipsec/observe.ts";
import { openRoute } from "../../netlink/open.ts";
import { MESH_DIRECTORY } from "../../node/guards.ts";
import { readDeviceRecord } from "../../node/record.ts";
import { readDevice } from "../../status/devices.ts";
import type { MeshDevice } from "./devices.ts";

/** What a tunnel to a peer has carried, in bytes, and since when it is there. */
export interface Counters {
  readonly sent: number;
  readonly received: number;
  /** In milliseconds since 1970. */
  readonly established?: number;
}

/** Of all peers of a device, by name; none for a device that does not answer. */
export async function readCounters({ kind, name, record }: MeshDevice): Promise<ReadonlyMap<string, Counters>> {
  return kind === "ipsec" ? ofIpsec() : ofWireguard([name, ...(record.otherDevices ?? [])]);
}

/** While keys change, a peer is on two devices. */
async function ofWireguard([first = "", ...others]: readonly string[]): Promise<ReadonlyMap<string, Counters>> {
  const record = readDeviceRecord(first);
  const counters = new Map<string, Counters>();
  if (record === undefined) return counters;
  for (const name of [first, ...others]) {
    const { peers } = await readDevice({ of: "node", record: { ...record, interface: name } });
    for (const peer of peers) {
      const called = record.peerNames[peer.publicKey] ?? peer.publicKey;
      const before = counters.get(called);
      const established = Math.max(before?.established ?? 0, peer.latestHandshake ?? 0);
      counters.set(called, {
        sent: (before?.sent ?? 0) + peer.sentBytes,
        received: (before?.received ?? 0) + peer.receivedBytes,
        ...(established > 0 && { established }),
      });
    }
  }
  return counters;
}

async function ofIpsec(): Promise<ReadonlyMap<string, Counters>> {
  using nl = openRoute();
  const state = await observeTunnels(nl, MESH_DIRECTORY, (label) => label);
  return new Map(
    (state?.tunnels ?? []).map(({ name, sentBytes: sent, receivedBytes: received, established }) => [
      name,
      { sent, received, ...(established !== undefined && { established }) },
    ]),
  );
}
