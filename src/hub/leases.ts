import { type IkeSa, type Vici, ViciError } from "vici";
import { Code, Fault } from "../fault.ts";
import { openVici } from "../ipsec/charon.ts";
import { parseAddress } from "../net/address.ts";
import { isInWaitingRoom } from "../net/waiting-room.ts";
import type { Entry } from "./book.ts";
import { readLeaseFile } from "./lease-file.ts";
import { leaseFileOf } from "./record.ts";

/** A pod that is online, as the hub's charon has it now. */
export interface Lease {
  /** What the pod proved to be. */
  readonly identity: string;
  readonly virtualIPs: readonly string[];
  /** Where its packets come from: its node, when that masquerades. */
  readonly remoteHost: string;
  /** Age of its IKE_SA in seconds: since it came, or since the last rekey (4 hours). */
  readonly age: number;
  /** Decrypted and encrypted bytes of its CHILD_SA: since it came, or since the last rekey (1 hour). */
  readonly bytesIn: bigint;
  readonly bytesOut: bigint;
}

/** Pods with virtual IPs: those that are online, and those whose virtual IPs are kept until they come back. */
export interface AllLeases {
  readonly online: readonly Lease[];
  /** Times in milliseconds since 1970. */
  readonly offline: readonly Entry[];
}

/** Milliseconds. */
const CONNECT = 3000;

/**
 * The leases of the hub that runs in `directory`.
 * @throws Fault 103 when there is none, or its charon does not answer; Fault 6 when its file is damaged.
 */
export async function readLeases(directory: string): Promise<AllLeases> {
  const path = leaseFileOf(directory);
  const file = path === undefined ? undefined : readLeaseFile(path);
  const online = await readOnline(directory);
  return { online, offline: offlineOf(file?.entries ?? [], online) };
}

/** Entries of pods that are not online. The file may be a moment behind charon. Pure. */
export function offlineOf(entries: readonly Entry[], online: readonly Lease[]): Entry[] {
  const here = new Set(online.map(({ identity }) => identity.toLowerCase()));
  return entries
    .filter(({ identity }) => !here.has(identity.toLowerCase()))
    .sort((one, other) => compare(one.addresses[0], other.addresses[0]));
}

async function readOnline(directory: string): Promise<Lease[]> {
  try {
    await using vici = await openVici(directory, CONNECT);
    return leasesOf(await listSas(vici));
  } catch (error) {
    if (!(error instanceof ViciError)) throw error;
    const absent = error.code === "ENOENT" || error.code === "ECONNREFUSED" || error.code === "CLOSED";
    throw absent
      ? new Fault(
          Code.charon,
          `no hub runs in ${directory}`,
          "start it with `podvpn hub --config FILE`, or correct --directory",
        )
      : new Fault(Code.charon, `the hub's charon does not answer (${error.message})`, "restart the hub", {
          cause: error,
        });
  }
}

/** Milliseconds for a command of many pods: charon waits for each IKE_SA that is being worked on. */
export const MANY = 60_000;

/** All IKE_SAs. @throws ViciError. */
export async function listSas(vici: Vici): Promise<IkeSa[]> {
  const sas: IkeSa[] = [];
  // Without `noblock`: with it charon silently leaves out an SA that another thread holds at that moment.
  for await (const sa of vici.listSas({}, { timeout: MANY })) sas.push(sa);
  return sas;
}

/**
 * Leases out of SAs. Pure. While an IKE_SA is rekeyed, or a pod that was killed comes back, there are two of one
 * identity with the same virtual IPs: the younger counts.
 */
export function leasesOf(sas: readonly IkeSa[]): Lease[] {
  const leases = new Map<string, Lease>();
  for (const sa of sas) {
    if (!ONLINE.has(sa.state) || sa.remoteVips.length === 0 || waits(sa)) continue;
    const children = sa.childSas.filter(({ state }) => state !== "DELETING" && state !== "DELETED");
    const lease: Lease = {
      identity: sa.remoteId,
      virtualIPs: sa.remoteVips,
      remoteHost: sa.remoteHost,
      age: sa.established ?? 0, // absent only before it is established
      bytesIn: children.reduce((sum, child) => sum + child.bytesIn, 0n),
      bytesOut: children.reduce((sum, child) => sum + child.bytesOut, 0n),
    };
    const other = leases.get(keyOf(lease));
    if (other === undefined || other.age > lease.age) leases.set(keyOf(lease), lease);
  }
  return [...leases.values()].sort((one, other) => compare(one.virtualIPs[0], other.virtualIPs[0]));
}

/** For its virtual IP, which another tunnel of its identity has: see `Contests`. */
export function waits({ remoteVips }: IkeSa): boolean {
  const addresses = remoteVips.map(parseAddress).filter((address) => address !== undefined);
  return addresses.some(isInWaitingRoom);
}

/** REKEYING: the old one of two, until the new one is up. */
const ONLINE: ReadonlySet<string> = new Set(["ESTABLISHED", "REKEYING"]);

/** Which leases came and which went between two listings. Pure. */
export function changes(
  before: readonly Lease[],
  after: readonly Lease[],
): { readonly came: Lease[]; readonly went: Lease[] } {
  const [old, now] = [new Set(before.map(keyOf)), new Set(after.map(keyOf))];
  return {
    came: after.filter((lease) => !old.has(keyOf(lease))),
    went: before.filter((lease) => !now.has(keyOf(lease))),
  };
}

function keyOf({ identity, virtualIPs }: Lease): string {
  return [identity, ...virtualIPs].join(" ");
}

function compare(one = "", other = ""): number {
  return one.localeCompare(other, "en", { numeric: true });
}
