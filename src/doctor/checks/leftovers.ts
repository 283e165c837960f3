import { type Finding, findingsOf } from "../finding.ts";
import type { Leftover, StaleBridge } from "../gather/leftovers.ts";

const { ok, warning, bad } = findingsOf("leftovers");

/** What other network plugins left. Pure. */
export function checkLeftovers(leftovers: readonly Leftover[], bridges: readonly StaleBridge[]): Finding[] {
  const findings = [
    ...bridges.map(({ bridge, address, subnets }) =>
      bad(
        `the bridge ${bridge} has the address ${address}, and pods get addresses of ${subnets.join(", ")}: no pod can be attached`,
        { command: `ip link del ${bridge}` },
      ),
    ),
    ...leftovers.map(({ of, what, command }) =>
      warning(`${what} is ${of}'s: two networks for the same pods get in each other's way`, {
        command,
        remedy: `only if ${of} is not in use here`,
      }),
    ),
  ];
  return findings.length > 0 ? findings : [ok("nothing of flannel, Calico, Cilium, Weave Net or others is here")];
}
