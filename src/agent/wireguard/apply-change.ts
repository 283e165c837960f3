import { getLink } from "../../netlink/links.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { applyRouteMoves } from "../../node/differences.ts";
import { meshRoutes } from "../../node/plan.ts";
import { deviceDirectory } from "../../node/record.ts";
import { together } from "../../together.ts";
import type { DeviceState } from "../../wireguard/device.ts";
import { diff, isEmpty } from "../../wireguard/diff.ts";
import { randomPublicKey } from "../../wireguard/keys.ts";
import { reopenDevice } from "../../wireguard/open.ts";
import type { Applied } from "../driver.ts";
import { lockKnownDevice } from "./own-lock.ts";
import { namesByKey, OwnRecord } from "./own-record.ts";
import type { SlotPeer } from "./slot-plan.ts";
import type { Known, WishChange } from "./wish-change.ts";

/**
 * Brings the device and the routes from what is known to what is wanted, and reads back the peers that it has written:
 * with a thousand peers this takes a twentieth of looking at all of them.
 * @returns Undefined when something is not as it was known: then all has to be read.
 * @throws Fault, NetlinkError.
 */
export async function applyChange(nl: Netlink, known: Known, change: WishChange): Promise<Applied | undefined> {
  const { interface: name, table } = known.options;
  const { settings, keys, lost, looks, routes, made, kept, removed, next } = change;
  if (keys.size === 0) return { made: [], altered: [], removed: [], started: false, obstacles: [] };
  using lock = await lockKnownDevice(name);
  if (lock === undefined || (await getLink(nl, name))?.index !== known.index) return undefined;
  using device = await reopenDevice(known.dataPlane, { name, directory: deviceDirectory(name) });
  if (device === undefined) return undefined;
  if (made.length > 0 && !noteNames(name, [...known.peers.values(), ...next.peers.values()])) return undefined;

  const difference = (actual: DeviceState) => diff(settings, actual, { now: Date.now(), dummy: randomPublicKey, lost });
  const toWrite = difference(looks ? await device.read(keys) : change.expected);
  await device.apply(toWrite);
  const [add, remove] = [meshRoutes(routes.add, known.index, table), meshRoutes(routes.remove, known.index, table)];
  const [seen, taken] = await together(
    isEmpty(toWrite) ? Promise.resolve(undefined) : device.read(keys),
    applyRouteMoves(nl, { add, replace: [], remove }),
  );
  if (taken.length > 0 || (seen !== undefined && !isEmpty(difference(seen)))) return undefined;
  if (removed.length > 0 && !noteNames(name, [...next.peers.values()])) return undefined;
  const written = new Set(toWrite.peers.map(({ publicKey }) => publicKey));
  const altered = kept.filter(({ publicKey, isRouted }) => isRouted || written.has(publicKey)).map((peer) => peer.name);
  return { made, altered, removed, started: false, obstacles: [] };
}

/** Has the names of peers in the device's record. @returns False when there is no record any more. @throws Fault 5, 7. */
function noteNames(device: string, peers: readonly SlotPeer[]): boolean {
  const record = OwnRecord.read(device);
  record.write({ peerNames: namesByKey(peers.map(({ publicKey, name }) => [publicKey, name])) });
  return record.now !== undefined;
}
