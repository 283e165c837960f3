import type { IkeSa } from "vici";
import { findCharon, openVici } from "../../ipsec/charon.ts";
import { type HeldSa, heldPeers, isCarrying } from "../../ipsec/mesh-held.ts";
import type { Endpoint } from "../../net/endpoint.ts";
import { getLink } from "../../netlink/links.ts";
import type { Netlink } from "../../netlink/netlink.ts";
import { readMeshRecord } from "../../node/guards.ts";
import type { DriverState, TunnelState } from "../driver.ts";
import { readSas } from "./steps.ts";

/** Milliseconds. */
const ANSWER = 10_000;

/** IKE's ports: it begins at the first, and goes on by itself at the second. */
const IKE_PORT = 500;
const NAT_PORT = 4500;

/**
 * The tunnels as charon has them; undefined when there is no charon, or no device.
 * @param nameOf A peer's name by its label. @throws ViciError, NetlinkError, Fault 5.
 */
export async function observeTunnels(
  nl: Netlink,
  directory: string,
  nameOf: (label: string) => string,
): Promise<DriverState | undefined> {
  using charon = findCharon(directory);
  const record = readMeshRecord(directory);
  const link = record === undefined ? undefined : await getLink(nl, record.interface);
  if (charon === undefined || record === undefined || link === undefined) return undefined;
  await using vici = await openVici(directory, ANSWER);
  const sas = await readSas(vici);
  const byId = new Map(sas.map((sa) => [sa.uniqueid, sa]));
  const now = Date.now();
  const tunnels = [...heldPeers([], sas)].map(([label, held]): TunnelState => {
    const all = held.sas.flatMap((sa) => byId.get(sa.uniqueid) ?? []);
    const carrying = held.sas.filter(isCarrying).toSorted((one, other) => other.uniqueid - one.uniqueid);
    const [newest] = carrying;
    const endpoint = newest && endpointOf(newest, byId);
    const established = newest && installed(byId.get(newest.uniqueid), now);
    return {
      name: nameOf(label),
      device: record.interface,
      ...(endpoint && { endpoint }),
      ...(established !== undefined && { established }),
      receivedBytes: sum(all, "bytesIn"),
      sentBytes: sum(all, "bytesOut"),
      mtu: link.mtu,
    };
  });
  return { dataPlane: record.dataPlane, tunnels };
}

/** A peer behind a NAT has another port than IKE's; one that has not is found at the first of IKE's. */
function endpointOf({ remoteHost, uniqueid }: HeldSa, byId: ReadonlyMap<number, IkeSa>): Endpoint | undefined {
  const port = byId.get(uniqueid)?.remotePort ?? IKE_PORT;
  return remoteHost && { address: remoteHost, port: port === NAT_PORT ? IKE_PORT : port };
}

function installed(sa: IkeSa | undefined, now: number): number | undefined {
  const ages = (sa?.childSas ?? []).flatMap(({ installTime }) => installTime ?? []);
  return ages.length === 0 ? undefined : now - Math.min(...ages) * 1000;
}

function sum(sas: readonly IkeSa[], counter: "bytesIn" | "bytesOut"): number {
  return Number(sas.flatMap(({ childSas }) => childSas).reduce((total, child) => total + child[counter], 0n));
}
