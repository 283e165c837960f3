import { isWireguard, listAttachments } from "../../attachment/record.ts";
import { type Address, family } from "../../net/address.ts";
import { openNetnsIfPresent } from "../../os/namespace.ts";
import { addressesOf } from "../../status/attachments.ts";
import { attachmentName } from "../../status/names.ts";
import type { MeshDevice } from "./devices.ts";
import { PING_SIZE } from "./paths.ts";
import { ping } from "./ping.ts";

/** Pings from a pod of this node to an address behind a peer. */
export interface PodPing {
  readonly pod: string;
  readonly device: string;
  readonly peer: string;
  readonly target: Address;
  readonly sent: number;
  readonly received: number;
}

/** So many pods of a device, and so many of its peers. */
const PODS = 2;
const PEERS = 8;

/** Pings from real pods, those that were attached last. @throws Fault 101 without ping(8). */
export async function pingFromPods(devices: readonly MeshDevice[]): Promise<PodPing[]> {
  const records = listAttachments()
    .map(({ record }) => record)
    .filter(isWireguard)
    .filter(({ phase, own }) => phase === "ready" && own === undefined)
    .toSorted((one, other) => other.addedAt - one.addedAt);
  const results: PodPing[] = [];
  for (const device of devices) {
    const pods = records.filter((record) => record.interface === device.name).slice(0, PODS);
    for (const record of pods) {
      using netns = openNetnsIfPresent(record.netns);
      if (netns === undefined) continue;
      const families = new Set(addressesOf(record).map(family));
      const tries = device.peers
        .slice(0, PEERS)
        .flatMap(({ name, targets }) =>
          targets.filter((target) => families.has(family(target))).map((target) => ({ peer: name, target })),
        );
      const pod = { pod: attachmentName(record), device: device.name };
      const pinged = tries.map(async ({ peer, target }) => {
        const { sent, received } = await ping({ target, count: 2, size: PING_SIZE, netns });
        return { ...pod, peer, target, sent, received };
      });
      results.push(...(await Promise.all(pinged)));
    }
  }
  return results;
}
