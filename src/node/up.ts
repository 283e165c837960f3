import { NetlinkError } from "../netlink/error.ts";
import { setLink } from "../netlink/links.ts";
import type { Netlink } from "../netlink/netlink.ts";
import { portTaken } from "../wireguard/port.ts";

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
