import { type Finding, findingsOf } from "../finding.ts";
import type { FirewallFacts } from "../gather/firewalls.ts";

const { ok, none, bad } = findingsOf("settings");

/** The kernel's settings that forwarding between pods and the tunnel needs. Pure. */
export function checkSettings(facts: readonly FirewallFacts[]): Finding[] {
  if (facts.length === 0) return [none("this node has no device of podvpn's")];
  return facts.flatMap(({ device, sysctls, rpFilter }) => {
    const findings = sysctls.flatMap(({ key, before, after }): Finding[] => {
      const command = `echo ${after} >/proc/sys/${key}`;
      if (key.endsWith("/rp_filter")) {
        // The larger of both counts: where that is loose or off, the device's own is as good as right.
        if (rpFilter !== STRICT) return [];
        const what = `rp_filter is ${rpFilter} (strict) for ${device.name}: packets from peers are dropped`;
        return [bad(`${what} where another route leads back`, { command })];
      }
      if (!key.endsWith("forwarding") && key !== "net/ipv4/ip_forward") {
        return [bad(`${key} is ${before}: the node forgets its router when it forwards`, { command })];
      }
      return [bad(`${key} is ${before}: packets of pods are not forwarded`, { command })];
    });
    const filter = ["off", "strict", "loose"][rpFilter] ?? String(rpFilter);
    return findings.length > 0 ? findings : [ok(`${device.name}: forwarding is on, rp_filter is ${filter}`)];
  });
}

const STRICT = 1;
