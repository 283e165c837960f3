import { IF_ID } from "../../agent/ipsec/device.ts";
import { type Finding, findingsOf, quoted } from "../finding.ts";
import type { MeshXfrm, XfrmFacts } from "../gather/xfrm.ts";

const { ok, none, bad } = findingsOf("ESP");

/**
 * Security associations that no policy leads to: nothing is ever sent by them, and the peer believes in a tunnel. A state
 * and its policy have the same XFRM interface, or none; of the mesh's, which are all of one, charon tells which is whose.
 * Pure. @param podvpn This program, as a command names it.
 */
export function checkEsp({ states, policies, mesh }: XfrmFacts, podvpn: string): Finding[] {
  const esp = states.filter(({ protocol }) => protocol === ESP);
  if (esp.length === 0) return [none("there are no security associations in the kernel of this node")];
  const served = new Set(policies.filter(({ templates }) => templates > 0).map(({ ifId }) => ifId));
  const alone = esp.filter(({ ifId }) => !served.has(ifId) && !(mesh !== undefined && ifId === IF_ID));
  const findings = [...ofMesh(mesh, podvpn), ...alone.map(ofState)];
  return findings.length > 0 ? findings : [ok(`${esp.length} security associations, ${policies.length} policies`)];
}

function ofMesh(mesh: MeshXfrm | undefined, podvpn: string): Finding[] {
  if (mesh === undefined) return [];
  return mesh.bare.map((peer) =>
    bad(`${peer}: the security associations with it lack policies: nothing goes by them, and nobody has told charon`, {
      command: `${quoted(podvpn)} doctor --mend ${quoted(mesh.device)}`,
    }),
  );
}

function ofState({ src, dst, spi, ifId }: XfrmFacts["states"][number]): Finding {
  const id = `0x${spi.toString(16).padStart(8, "0")}`;
  const of = ifId === undefined ? "" : ` of the XFRM interface ${ifId}`;
  return bad(`the security association ${id} from ${src} to ${dst}${of} has no policy: nothing is sent by it`, {
    command: `ip xfrm state delete src ${src} dst ${dst} proto esp spi ${id}`,
    remedy: "its charon makes another, with policies",
  });
}

/** IP protocol. */
const ESP = 50;
