import { issuesFault } from "../config/issues.ts";
import type { WireguardConfig } from "../config/wireguard.ts";
import { type NodeFacts, nodeConflicts } from "../config/wireguard-node.ts";
import type { Secret } from "../secret.ts";
import { publicKeyOf } from "../wireguard/keys.ts";

/**
 * Tests a configuration against where it is: a device that is its own peer, peers' prefixes that are elsewhere.
 * @param facts Of the node; a pod with a device of its own has none that count.
 * @throws Fault 7 with everything that collides.
 */
export async function requireFitting(
  config: WireguardConfig,
  privateKey: Secret,
  facts: Omit<NodeFacts, "ownPublicKey">,
): Promise<void> {
  const [first, ...others] = nodeConflicts(config, { ...facts, ownPublicKey: await publicKeyOf(privateKey) });
  if (first !== undefined) throw issuesFault([first, ...others]);
}
