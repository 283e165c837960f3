import { ensureBridge } from "../../src/attachment/bridge.ts";
import { makeLink } from "../../src/attachment/link.ts";
import type { Result } from "../../src/cni/result.ts";
import { ipamSubnets } from "../../src/config/consistency.ts";
import { issuesFault } from "../../src/config/issues.ts";
import { overlaps } from "../../src/net/prefix.ts";
import { requireAgents } from "./agent.ts";
import { attachRouted } from "./routed.ts";
import { linkCall, type Work } from "./work.ts";

/**
 * `agent: true`: the pod's link and routes. Device, peers and guard are the agent's: what of them is not there is waited
 * for, as no link is made before the node refuses the mesh's prefixes outside of the device.
 */
export async function attach(work: Work): Promise<Result> {
  requireOwnSubnets(work);
  return await attachRouted(work, async () => {
    const mtu = await requireAgents(work.node);
    if (work.record.delegate !== undefined) await ensureBridge(work.node, work.record.delegate);
    const link = await makeLink(linkCall(work), work.record, work.call.config.prevResult, work.undo);
    return { link, mtu };
  });
}

/** The prefixes of the mesh are known only now. @throws Fault 7 when the pods' subnets are some other node's. */
function requireOwnSubnets({ call, config }: Work): void {
  const issues = ipamSubnets(call.config.raw.ipam).flatMap(({ prefix, path }) => {
    const other = config.meshPrefixes.find((mesh) => overlaps(mesh, prefix));
    if (other === undefined) return [];
    const what = `${path} is "${prefix}", which overlaps "${other}" of the mesh: it is not this node's`;
    return [{ what, remedy: "give the subnet that the agent has for this node (`podvpn status` shows it)" }];
  });
  const [first, ...others] = issues;
  if (first !== undefined) throw issuesFault([first, ...others]);
}
