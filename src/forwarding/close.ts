import { Code, Fault } from "../fault.ts";
import { openNftables } from "../nftables/open.ts";
import type { Netns } from "../os/namespace.ts";
import { forwardChains } from "./chains.ts";
import { changeForward, findIptables, readForward } from "./iptables.ts";

/**
 * Takes away the rules by which `openForwarding` let the packets of a device pass, or of all devices. None there is
 * fine; without iptables on this node there are none.
 * @throws NetlinkError, Fault 5, 101 or 102.
 */
export async function closeForwarding(of: { readonly device?: string; readonly netns?: Netns } = {}): Promise<void> {
  for (const { backend, family } of await iptablesChains(of.netns)) {
    const program = await findIptables(backend, family);
    const forward = program === undefined ? undefined : await readForward(program, of.netns);
    if (program === undefined || forward === undefined) continue;
    for (const rule of forward.accepts) {
      if (of.device !== undefined && rule.device !== of.device) continue;
      const failure = await changeForward(program, "-D", rule, of.netns);
      if (failure !== undefined) throw notDeleted(program, rule.device, failure);
    }
  }
}

async function iptablesChains(netns: Netns | undefined) {
  using nl = openNftables(netns);
  return (await forwardChains(nl, netns)).iptables;
}

function notDeleted(program: string, device: string, failure: string): Fault {
  return new Fault(
    Code.kernel,
    `${program} cannot delete podvpn's rule for ${device} in FORWARD (${failure})`,
    `see \`${program} -S FORWARD\``,
  );
}
