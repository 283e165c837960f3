import type { Vici } from "vici";
import { openVici } from "../../ipsec/charon.ts";
import { MESH_CHILD } from "../../ipsec/mesh-connection.ts";
import { type HeldPeer, heldPeers } from "../../ipsec/mesh-held.ts";
import { openXfrm } from "../../netlink/open.ts";
import { listPolicies } from "../../netlink/xfrm.ts";
import { type BareTunnel, bareTunnels } from "./bare.ts";
import { IF_ID } from "./device.ts";
import { readSas } from "./steps.ts";

/** Milliseconds for charon to answer. */
const ANSWER = 10_000;

/** Of the tunnels that charon was seen to have, those that the kernel has no policies for. @throws NetlinkError. */
export async function readBare(held: ReadonlyMap<string, HeldPeer>): Promise<BareTunnel[]> {
  using xfrm = openXfrm();
  return bareTunnels(held, await listPolicies(xfrm), IF_ID);
}

/**
 * Has charon install the policies of tunnels anew: it does so with the SA that takes the place of the one that there is, and
 * no packet is lost by that. Does not wait for the peers. @throws ViciError.
 */
export async function rekey(vici: Vici, bare: readonly BareTunnel[]): Promise<void> {
  for (const { uniqueid } of bare) {
    await vici.request("rekey", { "ike-id": String(uniqueid), child: MESH_CHILD });
  }
}

/** Reads the tunnels of the charon in `directory`, which must run: those without policies. @throws ViciError, NetlinkError. */
export async function findBare(directory: string): Promise<BareTunnel[]> {
  await using vici = await openVici(directory, ANSWER);
  return await readBare(heldPeers([], await readSas(vici)));
}

/** Mends those of the charon in `directory`. @returns Labels of the peers. @throws ViciError, NetlinkError. */
export async function mendBare(directory: string): Promise<string[]> {
  await using vici = await openVici(directory, ANSWER);
  const bare = await readBare(heldPeers([], await readSas(vici)));
  await rekey(vici, bare);
  return bare.map(({ peer }) => peer);
}
