import type { AgentStatus, PeerStatus } from "../agent/status.ts";
import type { Measure, Measured } from "../mesh/graph.ts";

/**
 * What a node's agent knows of the links of the mesh: of its own ones all, of those between other nodes nothing, which
 * their own agents know alone. Pure.
 */
export function measuredBy({ node, peers }: Pick<AgentStatus, "peers"> & { node: { name: string } }): Measure {
  const byName = new Map(peers.map((peer) => [peer.name, peer]));
  return ({ one, other, driver }) => {
    const peer = one === node.name ? byName.get(other) : other === node.name ? byName.get(one) : undefined;
    // The driver of the plan may be another one than that which the agent still has.
    return peer?.driver === driver ? measuredOf(peer) : undefined;
  };
}

/** The peers that a node's agent holds for dead: another gateway stands for their site. Pure. */
export function downPeers({ peers }: Pick<AgentStatus, "peers">): ReadonlySet<string> {
  return new Set(peers.filter(({ state }) => state === "down").map(({ name }) => name));
}

function measuredOf({ state, roundTripSeconds, loss }: PeerStatus): Measured {
  return {
    state,
    ...(roundTripSeconds !== undefined && { latencyMs: roundTripSeconds * 1000 }),
    ...(loss !== undefined && { loss: Math.max(loss.out, loss.in) }),
  };
}
