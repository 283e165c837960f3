import { findBare } from "../../agent/ipsec/policies.ts";
import { findCharon } from "../../ipsec/charon.ts";
import { isAttempt } from "../../netlink/esp.ts";
import { openXfrm } from "../../netlink/open.ts";
import { listPolicies, listStates, type Policy, type XfrmState } from "../../netlink/xfrm.ts";
import { MESH_DIRECTORY, readMeshRecord } from "../../node/guards.ts";

/** The kernel's security associations and policies. */
export interface XfrmFacts {
  readonly states: readonly XfrmState[];
  readonly policies: readonly Policy[];
  /** Absent: ESP between nodes is not in the kernel, or has no charon that could tell. */
  readonly mesh?: MeshXfrm;
}

/** The tunnels of the node's own charon. */
export interface MeshXfrm {
  readonly device: string;
  /** Peers whose tunnels the kernel has no policies for. */
  readonly bare: readonly string[];
}

/** Reads those of the node. @throws NetlinkError, ViciError, Fault 5. */
export async function readXfrm(): Promise<XfrmFacts> {
  using nl = openXfrm();
  const [states, policies] = await Promise.all([listStates(nl), listPolicies(nl)]);
  const mesh = await readMesh();
  return { states: states.filter((state) => !isAttempt(state)), policies, ...(mesh && { mesh }) };
}

async function readMesh(): Promise<MeshXfrm | undefined> {
  const record = readMeshRecord(MESH_DIRECTORY);
  using charon = findCharon(MESH_DIRECTORY);
  if (record?.dataPlane !== "kernel" || charon === undefined) return undefined;
  const bare = await findBare(MESH_DIRECTORY);
  return { device: record.interface, bare: [...new Set(bare.map(({ peer }) => peer))] };
}
