import { issuesFault } from "../config/issues.ts";
import type { WireguardConfig } from "../config/wireguard.ts";
import { type NodeFacts, nodeConflicts } from "../config/wireguard-node.ts";
import type { Secret } from "../secret.ts";
import type { DeviceState } from "../wireguard/device.ts";
import { clamped, sameSecret } from "../wireguard/key.ts";
import { publicKeyOf } from "../wireguard/keys.ts";

/**
 * Tests a configuration against where it is: a device that is its own peer, peers' prefixes that are elsewhere.
 * @param facts Of the node; a pod with a device of its own has none that count.
 * @param device As it is now, where there is one.
 * @throws Fault 7 with everything that collides.
 */
export async function requireFitting(
  config: WireguardConfig,
  privateKey: Secret,
  facts: Omit<NodeFacts, "ownPublicKey">,
  device?: DeviceState,
): Promise<void> {
  const own = hasTaken(device, config, privateKey) ? {} : { ownPublicKey: await publicKeyOf(privateKey) };
  const [first, ...others] = nodeConflicts(config, { ...facts, ...own });
  if (first !== undefined) throw issuesFault([first, ...others]);
}

/**
 * Whether the device has that key and all the peers: no device takes itself for a peer, so none of them is it. Saves
 * `node:crypto`, 5 ms, in nearly every ADD.
 */
function hasTaken(device: DeviceState | undefined, { peers }: WireguardConfig, privateKey: Secret): boolean {
  if (device === undefined || !sameSecret(clamped(privateKey), device.privateKey)) return false;
  const taken = new Set(device.peers.map(({ publicKey }) => publicKey));
  return peers.every(({ publicKey }) => taken.has(publicKey));
}
