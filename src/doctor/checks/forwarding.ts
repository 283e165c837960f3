import type { Findings } from "../finding.ts";
import { type Finding, findingsOf } from "../finding.ts";
import type { FirewallFacts } from "../gather/firewalls.ts";
import type { PodPing } from "../gather/pods.ts";
import { reaches } from "./pods.ts";

/** FORWARD chains of iptables, ip6tables and nftables that drop what goes between pods and the tunnel. Pure. */
export function checkForwarding(facts: readonly FirewallFacts[], pings: readonly PodPing[]): Finding[] {
  const findings = findingsOf("forwarding");
  if (facts.length === 0) return [findings.none("this node has no device of podvpn's")];
  return facts.flatMap(({ device, obstacles }) => {
    const { name, record } = device;
    if (record.podSubnets.length === 0) return [findings.none(`${name}: this node has no pods behind it yet`)];
    if (obstacles.length === 0)
      return [findings.ok(`${name}: no chain at hook forward refuses its packets by default`)];
    const tell = tellOf(findings, name, pings);
    return obstacles.map(({ what, remedy, command }) =>
      tell(`${name}: ${what}`, command === undefined ? { remedy } : { command }),
    );
  });
}

/** Chains that change the source of what goes into the tunnel: peers take nothing from an address that is no pod's. Pure. */
export function checkSource(facts: readonly FirewallFacts[], pings: readonly PodPing[]): Finding[] {
  const findings = findingsOf("source");
  if (facts.length === 0) return [findings.none("this node has no device of podvpn's")];
  return facts.flatMap(({ device, early }) => {
    const { name } = device;
    if (early.length === 0)
      return [findings.ok(`${name}: nothing translates addresses before podvpn's chain keeps them`)];
    const tell = tellOf(findings, name, pings);
    return early.map(({ what, command }) =>
      tell(`${what}: where it changes the source, peers drop the packets of pods`, { command }),
    );
  });
}

/** What stands in the way by its looks is a warning when every pod's packets pass all the same. */
function tellOf({ bad, warning }: Findings, device: string, pings: readonly PodPing[]): Findings["bad"] {
  const own = pings.filter((ping) => ping.device === device);
  return own.length > 0 && own.every(reaches) ? warning : bad;
}
