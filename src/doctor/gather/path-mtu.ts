import { type Address, type Family, family } from "../../net/address.ts";
import { type Encapsulation, outerOverhead } from "../../net/mtu.ts";
import type { MeshDevice } from "./devices.ts";
import { ping } from "./ping.ts";

/** What fits on the way to a peer. In bytes, of whole IP packets. */
export interface PathMtu {
  /** The largest packet that the tunnel sends. */
  readonly wanted: number;
  /** The largest that was answered; absent: none was, not even a small one. */
  readonly largest?: number;
  readonly encapsulation: Encapsulation;
}

/** Every path carries as much (RFC 791). */
const SMALLEST: Readonly<Record<Family, number>> = { 4: 68, 6: 1280 };

/** How exactly the largest is looked for, in bytes. */
const STEP = 4;

/** Measures it by pings that must not be cut. @throws Fault 101 without ping(8). */
export async function measurePathMtu(device: MeshDevice, target: Address): Promise<PathMtu> {
  const encapsulation = encapsulationOf(device);
  const version = family(target);
  const wanted = (device.link?.mtu ?? 0) + outerOverhead(encapsulation, version);
  const passes = async (size: number) => (await ping({ target, count: 2, size, whole: true })).received > 0;
  if (await passes(wanted)) return { wanted, largest: wanted, encapsulation };
  const smallest = SMALLEST[version];
  if (!(await passes(smallest))) return { wanted, encapsulation };
  let [fits, tooLarge] = [smallest, wanted];
  while (tooLarge - fits > STEP) {
    const size = Math.floor((fits + tooLarge) / 2);
    if (await passes(size)) fits = size;
    else tooLarge = size;
  }
  return { wanted, largest: fits, encapsulation };
}

/** Of what the kernel's ESP sends bare, the larger of both: a NAT on the way makes it UDP. */
export function encapsulationOf({ kind }: Pick<MeshDevice, "kind">): Encapsulation {
  return kind === "wireguard" ? "wireguard" : "esp-in-udp";
}
