import { legalIdentity } from "../config/identity.ts";
import { type Address, parseAddress } from "../net/address.ts";
import { moveAside, readText, removeTree } from "../os/file.ts";

/** A pod that charon has given addresses to which the file of leases did not have. */
export interface Arrival {
  readonly identity: string;
  /** At most one of each family, IPv4 first. */
  readonly addresses: readonly Address[];
}

/**
 * Beside the file of leases: what charon itself writes of pods that nobody knows yet. charon (5.9.8) runs the command of
 * a child (swanctl.conf(5), `updown`) when the child is installed, and answers the pod after that: so whoever has a
 * virtual IP stands here, or in the file, however soon hub and charon are killed. It is written, not synced: that comes
 * with the file, some hundred milliseconds later.
 */
function arrivalsFile(leases: string): string {
  return `${leases}.arrived`;
}

/** Those that were there before charon was asked last: they go when what it said is on the disk. */
function seenFile(leases: string): string {
  return `${leases}.arrived-seen`;
}

/**
 * The command, as charon hands it to a shell; identity and addresses come by the environment. A child of two families
 * runs it for each.
 */
export function arrivalsCommand(leases: string): string {
  const file = `'${arrivalsFile(leases).replaceAll("'", "'\\''")}'`;
  const line = `"$PLUTO_PEER_SOURCEIP4_1" "$PLUTO_PEER_SOURCEIP6_1" "$PLUTO_PEER_ID"`;
  return `test up = "\${PLUTO_VERB%%-*}" && umask 077 && printf '%s\\t%s\\t%s\\n' ${line} >>${file}`;
}

/** What stands there. What is cut off, or makes no sense, is passed over. @throws Fault 5. */
export function readArrivals(leases: string): Arrival[] {
  const text = `${readText(seenFile(leases)) ?? ""}${readText(arrivalsFile(leases)) ?? ""}`;
  return parseArrivals(text);
}

/** See {@link readArrivals}. The last word on an identity counts. Pure. */
export function parseArrivals(text: string): Arrival[] {
  const found = new Map<string, Arrival>();
  for (const line of text.split("\n").slice(0, -1)) {
    const [four = "", six = "", identity = ""] = line.split("\t");
    const addresses = [four, six].filter((each) => each !== "").map(parseAddress);
    if (addresses.length === 0 || !legalIdentity(identity)) continue;
    const known = addresses.filter((address) => address !== undefined);
    if (known.length === addresses.length) found.set(identity.toLowerCase(), { identity, addresses: known });
  }
  return [...found.values()];
}

/** To be called before charon is asked who is there: what is written from now on it may not tell yet. @throws Fault 5. */
export function setArrivalsAside(leases: string): void {
  // Those of before, which are not in the file yet, would be lost under the others.
  if (readText(seenFile(leases)) === undefined && readText(arrivalsFile(leases)) !== undefined) {
    moveAside(arrivalsFile(leases), seenFile(leases));
  }
}

/** As long as charon lets nobody in. @throws Fault 5. */
export function forgetAllArrivals(leases: string): void {
  for (const file of [seenFile(leases), arrivalsFile(leases)]) removeTree(file);
}

/** To be called when what charon told after {@link setArrivalsAside} is in the file of leases. @throws Fault 5. */
export function forgetArrivals(leases: string): void {
  removeTree(seenFile(leases));
}
