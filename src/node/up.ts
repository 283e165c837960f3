import type { WireguardConfig } from "../config/wireguard.ts";
import { Code, Fault } from "../fault.ts";
import { ensureAddress, ensureNoAddress, type LinkAddress, listAddresses } from "../netlink/addresses.ts";
import { NetlinkError } from "../netlink/error.ts";
import { getLink, setLink } from "../netlink/links.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { portTaken } from "../wireguard/port.ts";
import { sameAddress } from "./observe.ts";

/**
 * Sets the link of a WireGuard device up: only then the kernel's opens its UDP socket.
 * @param mtu In bytes. @param listenPort For the message. @throws Fault 102 for a port that is in use, NetlinkError.
 */
export async function setUpLink(nl: Netlink, index: number, mtu: number, listenPort: number): Promise<void> {
  try {
    await setLink(nl, index, { mtu, up: true });
  } catch (error) {
    throw error instanceof NetlinkError && error.errno === "EADDRINUSE" ? portTaken(listenPort) : error;
  }
}

/**
 * Brings the link of the node's device up, with its MTU (in bytes) and its addresses, and no others.
 * @returns Its index. @throws Fault 102, NetlinkError.
 */
export async function setUpDevice(
  nl: Netlink,
  config: Pick<WireguardConfig, "interface" | "addresses" | "listenPort">,
  mtu: number,
): Promise<number> {
  const link = await getLink(nl, config.interface);
  if (link === undefined) {
    throw new Fault(Code.kernel, `the interface ${config.interface} has gone meanwhile`, "try again");
  }
  if (link.mtu !== mtu || !link.up) await setUpLink(nl, link.index, mtu, config.listenPort);
  const wanted = config.addresses.map(({ address, prefixLength }): LinkAddress => {
    return { index: link.index, address, prefixLength, scope: "universe", flags: ["nodad"] };
  });
  const existing = (await listAddresses(nl, link.index)).filter(({ scope }) => scope === "universe");
  for (const entry of wanted) if (!existing.some((one) => sameAddress(one, entry))) await ensureAddress(nl, entry);
  for (const entry of existing) if (!wanted.some((one) => sameAddress(one, entry))) await ensureNoAddress(nl, entry);
  return link.index;
}
