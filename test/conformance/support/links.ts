import { isObject } from "../../../src/cni/json.ts";
import type { Place } from "../../../src/testbed/place.ts";

/** An interface as ip(8) shows it. */
export interface Link {
  readonly ifname: string;
  readonly ifindex: number;
  /** Its hardware address, in lower case; undefined where there is none. */
  readonly address: string | undefined;
  readonly mtu: number;
}

/** All interfaces of a node or container. /sys would be that of the node in both. */
export async function linksOf(place: Place): Promise<Link[]> {
  const { stdout } = await place.exec(["ip", "-j", "link"]);
  const parsed: unknown = JSON.parse(stdout);
  if (!Array.isArray(parsed)) throw new TypeError(stdout);
  return parsed.filter(isObject).map(({ ifname, ifindex, address, mtu }) => ({
    ifname: String(ifname),
    ifindex: Number(ifindex),
    address: typeof address === "string" ? address.toLowerCase() : undefined,
    mtu: Number(mtu),
  }));
}

/** The interface of that name; undefined when there is none. */
export async function linkOf(place: Place, name: string): Promise<Link | undefined> {
  return (await linksOf(place)).find(({ ifname }) => ifname === name);
}
