import type { DeviceSettings, DeviceState } from "../../wireguard/device.ts";
import type { PublicKey } from "../../wireguard/key.ts";
import type { SlotPeer } from "./slot-plan.ts";

/** Names of peers by their keys: those that are wanted, and those that a device still has from before. */
export type PeerNames = ReadonlyMap<PublicKey, string>;

/**
 * The names for a device's record. Pure.
 * @param before Of the record that was there. @param states Devices whose peers are named, too.
 */
export function peerNames(
  peers: readonly SlotPeer[],
  before: Readonly<Record<string, string>>,
  states: readonly (Pick<DeviceSettings, "peers"> | undefined)[],
): PeerNames {
  const names = new Map<PublicKey, string>();
  for (const { publicKey } of states.flatMap((state) => state?.peers ?? [])) {
    const name = before[publicKey];
    if (name !== undefined) names.set(publicKey, name);
  }
  for (const { name, publicKey, nextPublicKey } of peers) {
    names.set(publicKey, name);
    if (nextPublicKey !== undefined) names.set(nextPublicKey, name);
  }
  return names;
}

/** Names of peers by what became of their tunnels. */
export interface PeerChanges {
  readonly made: readonly string[];
  readonly altered: readonly string[];
  readonly removed: readonly string[];
}

/**
 * What became of the peers' tunnels. A peer with another key than before is the same peer. Pure.
 * @param before What the devices had. @param written Keys that something was written of, and names whose routes were.
 */
export function peerChanges(
  names: PeerNames,
  wanted: readonly SlotPeer[],
  before: readonly (DeviceState | undefined)[],
  written: { readonly keys: ReadonlySet<PublicKey>; readonly names: ReadonlySet<string> },
): PeerChanges {
  const nameOf = (key: PublicKey) => names.get(key) ?? `a peer with the key ${key.slice(0, 8)}…`;
  const were = new Set(before.flatMap((state) => state?.peers ?? []).map(({ publicKey }) => nameOf(publicKey)));
  const are = new Set(wanted.map(({ name }) => name));
  const touched = new Set([...[...written.keys].map((key) => names.get(key)), ...written.names]);
  return {
    made: [...are].filter((name) => !were.has(name)),
    altered: [...are].filter((name) => were.has(name) && touched.has(name)),
    removed: [...were].filter((name) => !are.has(name)),
  };
}
