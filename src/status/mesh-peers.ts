import { readHeld } from "../agent/ipsec/steps.ts";
import { findCharon, openVici } from "../ipsec/charon.ts";
import type { Address } from "../net/address.ts";
import { MESH_DIRECTORY } from "../node/guards.ts";
import { within } from "./within.ts";

/** Milliseconds: it takes one for each peer. */
const ANSWER = 5000;

/**
 * Where the charon that joins this node with others has them, or tries them. None where there is no such charon, or where
 * it does not answer.
 */
export async function meshPeerAddresses(): Promise<Address[]> {
  try {
    return await within(ANSWER, "the mesh's charon", heldAddresses());
  } catch {
    return [];
  }
}

async function heldAddresses(): Promise<Address[]> {
  using charon = findCharon(MESH_DIRECTORY);
  if (charon === undefined) return [];
  await using vici = await openVici(MESH_DIRECTORY, ANSWER);
  const peers = [...(await readHeld(vici)).values()];
  const found = peers.flatMap(({ connections, sas }) => [
    ...connections.map(({ endpoint }) => endpoint),
    ...sas.map(({ remoteHost }) => remoteHost),
  ]);
  return [...new Set(found.filter((address) => address !== undefined))];
}
