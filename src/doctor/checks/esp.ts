import { type Finding, findingsOf } from "../finding.ts";
import type { XfrmFacts } from "../gather/xfrm.ts";

const { ok, none, bad } = findingsOf("ESP");

/**
 * Security associations that no policy leads to: nothing is ever sent by them, and the peer believes in a tunnel. A state
 * and its policy have the same XFRM interface, or none. Pure.
 */
export function checkEsp({ states, policies }: XfrmFacts): Finding[] {
  const esp = states.filter(({ protocol }) => protocol === ESP);
  if (esp.length === 0) return [none("there are no security associations in the kernel of this node")];
  const served = new Set(policies.filter(({ templates }) => templates > 0).map(({ ifId }) => ifId));
  const alone = esp.filter(({ ifId }) => !served.has(ifId));
  if (alone.length === 0) return [ok(`${esp.length} security associations, ${policies.length} policies`)];
  return alone.map(({ src, dst, spi, ifId }) => {
    const id = `0x${spi.toString(16).padStart(8, "0")}`;
    const of = ifId === undefined ? "" : ` of the XFRM interface ${ifId}`;
    return bad(`the security association ${id} from ${src} to ${dst}${of} has no policy: nothing is sent by it`, {
      command: `ip xfrm state delete src ${src} dst ${dst} proto esp spi ${id}`,
      remedy: "its charon makes another, with policies",
    });
  });
}

/** IP protocol. */
const ESP = 50;
